"""The command that waits for files: watch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from ..core.config import ChunkingConfig, EngineConfig, LayoutConfig, SourceConfig, StoreConfig
from ..core.errors import ConfigError, StoreUnavailable
from ..core.modes import AUTO
from .console import commands, note_failures, notes
from .options import (
    DEFAULT_COLLECTION,
    DEFAULT_PAGE_MEMORY,
    DEFAULT_PAGE_TIMEOUT,
    DEFAULT_STORE,
    DEFAULT_TOKENS,
    ApiKeyOption,
    BudgetOption,
    CodecOption,
    CollectionOption,
    DeviceOption,
    EngineOption,
    FurnitureOption,
    GrpcOption,
    JournalOption,
    KeepTokensOption,
    MaxTokensOption,
    ModelOption,
    ModeOption,
    OcrModelOption,
    OcrOption,
    OverlapOption,
    PageMemoryOption,
    PageTimeoutOption,
    PasswordOption,
    QdrantOption,
    TargetTokensOption,
    TenantOption,
    VllmOption,
    WaitOption,
    WorkersOption,
    optical_config,
    vllm_server,
    work_limits,
)

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
    tenant: TenantOption = None,
    grpc: GrpcOption = False,
    wait: WaitOption = 60,
    model: ModelOption = None,
    engine: EngineOption = "auto",
    ocr_model: OcrModelOption = None,
    vllm_url: VllmOption = None,
    mode: ModeOption = AUTO,
    max_output_tokens: BudgetOption = None,
    device: DeviceOption = "auto",
    password: PasswordOption = None,
    furniture: FurnitureOption = "metadata",
    ocr: OcrOption = "auto",
    max_tokens: MaxTokensOption = None,
    target_tokens: TargetTokensOption = None,
    overlap_tokens: OverlapOption = 0,
    tokens: KeepTokensOption = DEFAULT_TOKENS,
    codec: CodecOption = "lossless",
    workers: WorkersOption = 1,
    page_timeout: PageTimeoutOption = DEFAULT_PAGE_TIMEOUT,
    page_memory: PageMemoryOption = DEFAULT_PAGE_MEMORY,
    journal: JournalOption = "auto",
) -> None:
    """Ingest what is new or changed in a folder, until SIGINT or SIGTERM.

    The store is open only while there is something to do. A file that failed is tried again when
    it changes. What vanishes from the folder stays in the store. Files are read as by an ingest
    with the same options.
    """
    with commands(False):
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder; name one that is there")
        store = StoreConfig(qdrant, collection, api_key, tenant, grpc, wait, journal)
        optical = optical_config(ocr_model, mode, device, max_output_tokens, tokens, codec)
        limits = work_limits(page_timeout, page_memory)
        server = vllm_server(engine, vllm_url, ocr_model)
        reader = EngineConfig(engine, workers, LayoutConfig(ocr=ocr), optical, limits, server)
        chunking = ChunkingConfig(max_tokens, target_tokens, overlap_tokens, furniture)
        ingest = _ingester(store, reader, chunking, model, SourceConfig(password))
        _watch(folder, settle, interval, ingest)


def _ingester(
    store: StoreConfig,
    reader: EngineConfig,
    chunking: ChunkingConfig,
    model: str | None,
    source: SourceConfig,
) -> Callable[[Iterator[Path]], None]:
    from ..assembly import open_pipeline

    def ingest(files: Iterator[Path]) -> None:
        with open_pipeline(store, reader, chunking, model) as pipeline:
            report = pipeline.run(files, source)
        note_failures(report.failures)
        if report.interrupted:  # what was begun is not done, and is to be tried again
            raise StoreUnavailable(f"{store.location} does not answer; the next look goes on")

    return ingest


def _watch(
    folder: Path, settle: float, interval: float, ingest: Callable[[Iterator[Path]], None]
) -> None:
    from ..pipeline.watching import FolderWatch
    from ..pipeline.watching import watch as watch_folder

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
