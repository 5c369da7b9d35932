"""``python -m vaxseq`` is the command line."""

from __future__ import annotations

from vaxseq.cli import main

main()
