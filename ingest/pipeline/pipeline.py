"""Files to points: reads, chunks, embeds and stores documents. Knows the stages by protocol.

A document is written when its last page is read, while pages of the next ones are parsed. Each page
is recorded in the journal as soon as it is parsed: after a run was killed, the next one parses only
the pages that are left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ..core.config import ChunkingConfig, IngestOptions, SourceConfig
from ..core.protocols import PageEngine, PageKeeper, PointStore, SparseEncoder
from ..documents.examiner import DocumentExaminer
from ..indexing.given import GivenEmbedder, as_embedder
from .journal import Journal
from .planner import Planner
from .recipe import Recipe
from .report import IngestEvent, IngestReport
from .run import Run

__all__ = ["IngestEvent", "IngestPipeline", "IngestReport"]


class IngestPipeline:
    """Reads, chunks, embeds and stores documents.

    Args:
        embedder: an embedder, or what :data:`.given.GivenEmbedder` lists.
        examiner: examines files before they are opened; None does it in this process.
        journal: what earlier runs did, and where this one records its work. Without a journal an
            interrupted document starts again, and an edited one is parsed whole.
        keeper: where the engine stores data of each page beside its text, such as DeepSeek-OCR's
            vision tokens; see :class:`.recipe.Recipe`.

    Example:
        >>> report = IngestPipeline(engine, embedder, sparse, store).run(["report.pdf"])
    """

    def __init__(  # noqa: PLR0913  the stages
        self,
        engine: PageEngine,
        embedder: GivenEmbedder,
        sparse: SparseEncoder,
        store: PointStore,
        chunking: ChunkingConfig | None = None,
        *,
        examiner: DocumentExaminer | None = None,
        journal: Journal | None = None,
        keeper: PageKeeper | None = None,
    ) -> None:
        self.engine = engine
        self.embedder = as_embedder(embedder)
        self.store = store
        self.chunking = chunking or ChunkingConfig()
        self.journal = journal
        self._examiner = examiner
        self._recipe = Recipe(engine, self.chunking, self.embedder, sparse, keeper)

    def run(
        self,
        files: Iterable[str | Path],
        source: SourceConfig | None = None,
        on_event: Callable[[IngestEvent], None] = lambda event: None,
        options: IngestOptions | None = None,
        report: IngestReport | None = None,
    ) -> IngestReport:
        """Ingest files. A bad page or file is reported, and the run goes on.

        A document that cannot be stored is reported, too. A store that stops answering ends the
        run, after the time that the store's own settings allow for it to come back. The report
        says so, and the next run goes on from there.

        Args:
            files: paths of PDFs and images.
            source: password, page choice and limits for all of them.
            on_event: called in this thread as the work goes on. An error in it is logged once.
            options: what to do again, and what to do with files that are gone.
            report: filled and returned. Pass one to have what was done even if the run is cut off.

        Raises:
            ConfigError: the chunks may not be as long as asked for.
        """
        started = time.perf_counter()
        if self.chunking.max_tokens is not None:  # else the model need not be loaded to check
            self.chunking.cap(self.embedder.max_tokens)
        source, options = source or SourceConfig(), options or IngestOptions()
        report = report or IngestReport()
        recipe, store, journal = self._recipe, self.store, self.journal
        planner = Planner(recipe, store, journal, source, options, self._examiner)
        run = Run(recipe, store, journal, planner, options, on_event, report)
        try:
            return run.preview(files) if options.dry_run else run.ingest(files)
        finally:
            report.seconds = time.perf_counter() - started
