"""``python -m opticalrag.retrievers`` is the ``opticalrag`` command."""

from .cli import main

main()
