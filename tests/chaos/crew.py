"""Ingests as the command does: worker processes examine files and read pages."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from opticalrag.ingest.assembly import open_journal, open_store
from opticalrag.ingest.core.config import StoreConfig, WorkLimits
from opticalrag.ingest.core.errors import StoreUnavailable
from opticalrag.ingest.documents.examiner import DocumentExaminer
from opticalrag.ingest.pipeline.journal import Journal

from .engines import PooledTextEngine, note
from .ingester import ingest

# Exit codes. Python's own for an uncaught error is 1.
UNFINISHED: Final = 3
AWAY: Final = 4


def noting(journal: Journal, log: Path) -> Journal:
    """Make a journal log the pages whose record it has confirmed to the pipeline."""
    add_page = journal.add_page

    def add_and_note(document: str, sha256: str, key: str, page: Any) -> None:
        add_page(document, sha256, key, page)
        note(log, "recorded", document, sha256, page.index)

    journal.add_page = add_and_note  # type: ignore[method-assign]
    return journal


def main() -> int:
    """Ingest FOLDER into LOCATION, with a journal in JOURNALS; append pages to LOG."""
    folder, location, journals, log = sys.argv[1:]
    config = StoreConfig(location, wait=60.0, journal=journals)
    try:
        with ExitStack() as stack:
            store = stack.enter_context(open_store(config, create=True))
            engine = stack.enter_context(closing(PooledTextEngine(Path(log))))
            examiner = stack.enter_context(DocumentExaminer(WorkLimits()))
            journal = open_journal(config, create=True)
            assert journal is not None
            stack.enter_context(noting(journal, Path(log)))
            report = ingest(Path(folder), store, journal, engine=engine, examiner=examiner)
    except StoreUnavailable:
        return AWAY
    return UNFINISHED if report.failures else 0


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.exit(main())
