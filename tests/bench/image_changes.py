"""Random changes to an image: by itself, through Pillow, and the same for a whole batch.

Processes of a pool import this file, and nothing else that takes long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

BATCH, SIDE = 512, 32


def moved(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image moved by some pixels, at random, with noise."""
    turned = np.roll(image, rng.integers(-3, 4, 2), (0, 1))
    return (turned + rng.normal(0, 0.05, image.shape)).astype(np.float32)


def pictured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image turned and brightened, at random, by Pillow."""
    picture = Image.fromarray((image * 255).astype(np.uint8))
    picture = picture.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2))
    return np.asarray(picture, np.float32) / 255


def each_moved(batch: Any, rng: np.random.Generator) -> Any:
    """The function as it was, image by image."""
    images, labels = batch
    return np.stack([moved(image, rng) for image in images]), labels


def each_pictured(batch: Any, rng: np.random.Generator) -> Any:
    """Pillow's, image by image: there is no other way."""
    images, labels = batch
    return np.stack([pictured(image, rng) for image in images]), labels


def all_moved(batch: Any, rng: np.random.Generator) -> Any:
    """What ``moved`` does, for a whole batch: one index, one draw of noise."""
    images, labels = batch
    count, height, width = images.shape
    down, right = rng.integers(-3, 4, (2, count, 1, 1))
    rows = (np.arange(height)[:, None] - down) % height
    columns = (np.arange(width)[None, :] - right) % width
    turned = images[np.arange(count)[:, None, None], rows, columns]
    return turned + rng.standard_normal(images.shape, np.float32) * np.float32(0.05), labels


RNG = np.random.default_rng()  # each process has its own


def send_moved(image: np.ndarray) -> np.ndarray:
    """What a process does with one image."""
    return moved(image, RNG)


def send_pictured(image: np.ndarray) -> np.ndarray:
    """What a process does with one image."""
    return pictured(image, RNG)
