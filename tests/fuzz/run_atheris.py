"""python run_atheris.py TARGET [libFuzzer options]: atheris against one target, from its good input on.

A finding is any exception but a VaxseqError, a hang, or memory beyond 4 GB; libFuzzer writes its input to a file.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["vaxseq"]):
    import targets

    import vaxseq


def main() -> None:
    faulthandler.enable()
    name = sys.argv[1]
    corpus = targets.FOLDER / "corpus"
    corpus.mkdir()
    (corpus / "seed").write_bytes(targets.seed_of(name))
    os.chdir(targets.FOLDER)

    def one(data: bytes) -> None:
        with contextlib.suppress(vaxseq.VaxseqError):
            targets.TARGETS[name](data)

    atheris.Setup([sys.argv[0], *sys.argv[2:], "-rss_limit_mb=4096", "-timeout=30", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
