"""Benchmarks are scripts; the suite runs them through the test_*.py files and collects nothing else here."""

from __future__ import annotations

collect_ignore_glob = ["[!t]*.py", "training.py"]
