"""The ``ingest`` command: one run over files, or a watch over a folder."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..core.config import IngestOptions, SourceConfig, WorkLimits
from ..core.errors import ConfigError, StoreUnavailable
from ..core.flags import flag_list
from ..pipeline.report import IngestReport
from .console import (
    commands,
    emit_json,
    exit_for_failures,
    failure_to_json,
    note,
    note_failures,
    plain,
    progress_bar,
)
from .embedding_options import EmbeddingOptions
from .options import (
    ChunkingOptions,
    JournalOption,
    JsonOption,
    LimitOptions,
    ReadingOptions,
    StoreOptions,
    TokenOptions,
    grouped,
    output_option,
    run_option,
)

if TYPE_CHECKING:
    from ..pipeline.pipeline import IngestPipeline

__all__ = ["ingest"]

_WATCH_WAIT: Final = 60.0  # seconds; without waiting, each look at a busy store would be an error


@grouped
def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or glob patterns.")],
    *,
    reading: ReadingOptions,
    tokens: TokenOptions,
    chunking: ChunkingOptions,
    embedding: EmbeddingOptions,
    store: StoreOptions,
    journal: JournalOption = "auto",
    limits: LimitOptions,
    force: Annotated[bool, run_option("--force", help="Ingest unchanged files again.")] = False,
    dry_run: Annotated[
        bool, run_option("--dry-run", help="Show what would be done; write nothing.")
    ] = False,
    prune: Annotated[
        bool, run_option("--prune", help="Remove documents whose files are gone.")
    ] = False,
    watch: Annotated[
        float | None,
        run_option(
            min=0.1,
            max=86_400,
            metavar="SECONDS",
            help="Ingest new and changed files every SECONDS seconds, until Ctrl+C.",
        ),
    ] = None,
    report_file: Annotated[
        Path | None,
        output_option(
            "--report", help="Write an HTML report with pictures of failed and doubtful pages."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read documents and store their chunks; skip what is stored already.

    With --watch, give one folder. A file is ingested when it did not change between two looks, and
    again after each change. Documents of deleted files stay in the store. The store is closed
    between looks, and --wait is 60 seconds by default.
    """
    with commands(as_json):
        from ..assembly import open_pipeline
        from ..documents.sources import roots_of

        work = limits.config()
        target = store.config(journal)
        reader = reading.config(tokens=tokens.config(), limits=work)
        source, chunks = reading.source(), chunking.config()
        model = embedding.embedder(chunks.max_tokens)
        if watch is not None:
            of_one_run = {
                "--dry-run": dry_run,
                "--force": force,
                "--json": as_json,
                "--prune": prune,
                "--report": report_file,
            }
            folder = _watched_folder(paths, of_one_run)
            target = replace(target, wait=target.wait or _WATCH_WAIT)
            _watch(folder, watch, partial(open_pipeline, target, reader, chunks, model), source)
            return
        if dry_run and report_file:
            raise ConfigError("--dry-run has nothing to report: leave out --report")
        options = IngestOptions(force, dry_run, prune, roots_of(paths))
        opened = partial(open_pipeline, target, reader, chunks, model, dry_run=dry_run)
        report = _run(paths, opened, options, source, report_file, work)
        _emit_report(report, prune, as_json)
    codes = [failure.code for failure in report.failures]
    # The pages that an interrupted run parsed are stored: it did not fail as a whole.
    raise SystemExit(exit_for_failures(report.documents + report.interrupted, codes))


def _run(
    paths: Sequence[str],
    open_pipeline: Callable[..., AbstractContextManager[IngestPipeline]],
    options: IngestOptions,
    source: SourceConfig,
    report_file: Path | None,
    limits: WorkLimits,
) -> IngestReport:
    from ..documents.sources import expand_sources
    from ..reports.run import RunRecord

    files = expand_sources(paths)
    record = RunRecord(report_file)
    with _ingest_progress() as on_event, open_pipeline(observers=(record.observe,)) as pipeline:
        report = pipeline.run(files, source, on_event, options)
    record.write(report, source, limits)
    return report


def _emit_report(report: IngestReport, prune: bool, as_json: bool) -> None:
    values = {**asdict(report), "failures": [failure_to_json(one) for one in report.failures]}
    if as_json:
        emit_json(values)
    else:
        _note_report(values, prune)
    note_failures(report.failures)


def _note_report(values: Mapping[str, Any], prune: bool) -> None:
    outcome = "still stored: --prune removes it"
    if prune:
        outcome = "would be removed" if values["dry_run"] else "removed"
    for path in values["vanished"]:
        note(f"gone: {path} ({outcome})")
    for path in values["mended"]:
        note(f"mended: {path} (damaged: pages may be missing)")
    if values["flags"]:
        note(f"flagged pages: {flag_list(values['flags'])}")
    summary = (
        f"{values['documents']} documents ({values['unchanged']} unchanged,"
        f" {values['renamed']} renamed), {values['pages_parsed']} pages parsed,"
        f" {values['pages_reused']} reused, "
    )
    if values["dry_run"]:
        summary = f"dry run: {summary}"
    else:
        summary += (
            f"{values['chunks']} chunks, {values['embedded']} embedded, "
            f"{values['points_written']} points written, {values['points_deleted']} deleted, "
        )
    note(f"{summary}{values['seconds']:.1f} s")


@contextmanager
def _ingest_progress() -> Iterator[Callable[[Any], None]]:
    total = 0
    with progress_bar("ingesting") as (bar, task):

        def on_event(event: Any) -> None:
            nonlocal total
            if event.kind == "opened":
                total += event.pages
                bar.update(task, total=total)
            elif event.kind == "page":
                bar.update(task, advance=event.pages, description=plain(Path(event.file).name))

        yield on_event


def _watched_folder(paths: Sequence[str], of_one_run: Mapping[str, object]) -> Path:
    """Require one folder, and none of the options (values by name) that only fit a single run."""
    given = [name for name, value in of_one_run.items() if value]
    if given:
        raise ConfigError(f"--watch cannot be combined with {', '.join(given)}")
    if len(paths) != 1 or not Path(paths[0]).is_dir():
        raise ConfigError(f"{', '.join(paths)} is not a folder: --watch takes one existing folder")
    return Path(paths[0])


def _watch(
    folder: Path,
    interval: float,
    open_pipeline: Callable[[], AbstractContextManager[IngestPipeline]],
    source: SourceConfig,
) -> None:
    """Ingest new and changed files of a folder until SIGINT or SIGTERM."""
    from ..pipeline.watching import FolderWatch, watch

    def ingest_files(files: Iterator[Path]) -> None:
        with open_pipeline() as pipeline:
            report = pipeline.run(files, source)
        note_failures(report.failures)
        if report.interrupted:  # an error, so that the next look tries the same files again
            raise StoreUnavailable("the store does not answer; the next look tries again")

    stop = _stop_on_signals()
    # Half an interval: a file that did not change since the last look is older than that.
    for cycle in watch(folder, FolderWatch(interval / 2), ingest_files, stop, interval):
        outcome = f"error: {cycle.error}" if cycle.error else f"{cycle.begun} ingested"
        note(f"look {cycle.number}: {cycle.seen} files, {outcome}")
    note("stopped")


def _stop_on_signals() -> Event:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the command at once."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(*_: object) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, on_signal)
    return stop
