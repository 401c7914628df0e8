"""Runs the ``opticalrag`` command by ``python -m opticalrag.retrievers``."""

from .cli import main

main()
