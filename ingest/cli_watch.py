"""The command that waits for files: watch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from .cli_options import (
    DEFAULT_COLLECTION,
    DEFAULT_PAGE_MEMORY,
    DEFAULT_PAGE_TIMEOUT,
    DEFAULT_STORE,
    ApiKeyOption,
    CollectionOption,
    EngineOption,
    ModelOption,
    OcrOption,
    PageMemoryOption,
    PageTimeoutOption,
    PasswordOption,
    QdrantOption,
    StoreEngineOption,
    TenantOption,
    WaitOption,
    WorkersOption,
    work_limits,
)
from .config import ConfigError, EngineConfig, LayoutConfig, SourceConfig, StoreConfig
from .console import commands, note_failures, notes
from .errors import StoreUnavailable

__all__ = ["watch"]


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder to look into.")],
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds a file must not have changed before it is read.")
    ] = 5,
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    api_key: ApiKeyOption = None,
    store_engine: StoreEngineOption = "auto",
    tenant: TenantOption = None,
    wait: WaitOption = 60,
    model: ModelOption = None,
    engine: EngineOption = "auto",
    password: PasswordOption = None,
    ocr: OcrOption = "auto",
    workers: WorkersOption = 1,
    page_timeout: PageTimeoutOption = DEFAULT_PAGE_TIMEOUT,
    page_memory: PageMemoryOption = DEFAULT_PAGE_MEMORY,
) -> None:
    """Ingest what is new or changed in a folder, until SIGINT or SIGTERM.

    The store is open only while there is something to do. A file that failed is tried again when
    it changes. What vanishes from the folder stays in the store.
    """
    with commands(False):
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder; name one that is there")
        from .watching import FolderWatch
        from .watching import watch as watch_folder
        from .wiring import open_pipeline

        store = StoreConfig(
            qdrant, collection, api_key, engine=store_engine, tenant=tenant, wait=wait
        )
        limits = work_limits(page_timeout, page_memory)
        reader = EngineConfig(engine, workers, LayoutConfig(ocr=ocr), limits=limits)

        def ingest(files: Iterator[Path]) -> None:
            with open_pipeline(store, reader, None, model) as pipeline:
                report = pipeline.run(files, SourceConfig(password))
            note_failures(report.failures)
            if report.interrupted:  # what was begun is not done, and is to be tried again
                raise StoreUnavailable(f"{qdrant} does not answer; the next look goes on")

        stop = _stop_on_signals()
        for cycle in watch_folder(folder, FolderWatch(settle), ingest, stop, interval):
            outcome = f"error: {cycle.error}" if cycle.error else f"{cycle.begun} ingested"
            words = f"look {cycle.number}: {cycle.seen} files, {outcome}"
            notes.print(words, markup=False, soft_wrap=True)
        notes.print("stopped", markup=False)


def _stop_on_signals() -> Event:
    """Set at the first SIGINT or SIGTERM; a second one ends it at once, as any command."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(*_: object) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, on_signal)
    return stop
