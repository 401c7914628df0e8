"""Commands that read and store documents: parse, ingest, doctor; and the command they make up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..core.config import (
    ChunkingConfig,
    EngineConfig,
    IngestOptions,
    LayoutConfig,
    OpticalConfig,
    PageFurniture,
    SourceConfig,
    StoreConfig,
)
from ..core.errors import ConfigError
from ..core.modes import AUTO
from ..core.records import PageFailure, ParsedPage
from .cache import app as cache_app
from .console import (
    Exit,
    commands,
    emit,
    emit_json,
    emit_text,
    exit_for,
    exit_for_failures,
    note_failures,
    notes,
    plain,
)
from .models import app as models_app
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
    JsonOption,
    KeepTokensOption,
    MaxTokensOption,
    MetricsOption,
    ModelOption,
    ModeOption,
    OcrModelOption,
    OcrOption,
    OverlapOption,
    PageMemoryOption,
    PagesOption,
    PageTimeoutOption,
    PasswordOption,
    PromptOption,
    QdrantOption,
    ReportOption,
    StoreEngineOption,
    TargetTokensOption,
    TenantOption,
    VllmOption,
    WaitOption,
    WorkersOption,
    optical_config,
    vllm_server,
    work_limits,
)
from .store import delete, report, status, verify
from .watch import watch

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Read PDFs and images, index them in Qdrant, and find cited answers.",
)

app.add_typer(models_app, name="models")
app.add_typer(cache_app, name="cache")
for command in (status, verify, report, delete, watch):
    app.command()(command)


@app.command()
def parse(
    file: Annotated[str, typer.Argument(help="PDF or image.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file.")] = None,
    pages: PagesOption = None,
    engine: EngineOption = "auto",
    ocr_model: OcrModelOption = None,
    vllm_url: VllmOption = None,
    mode: ModeOption = AUTO,
    prompt: PromptOption = "markdown",
    max_output_tokens: BudgetOption = None,
    device: DeviceOption = "auto",
    password: PasswordOption = None,
    furniture: FurnitureOption = "drop",
    ocr: OcrOption = "auto",
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Turn a document into Markdown, with every block's place on the page in --json."""
    with commands(as_json):
        from ..system.files import check_target
        from .parsing import parse_document

        if output is not None and (output.is_file() or not output.exists()):
            check_target(output)  # a pipe or device may be one, too
        optical = OpticalConfig(
            ocr_model,
            mode=mode,
            prompt=prompt,
            device=device,
            max_output_tokens=max_output_tokens,
        )
        server = vllm_server(engine, vllm_url, ocr_model)
        reader = EngineConfig(engine, workers, LayoutConfig(ocr=ocr), optical, vllm=server)
        with _page_progress() as advance:
            parsed, failures = parse_document(file, reader, SourceConfig(password, pages), advance)
        _emit_parsed(parsed, failures, furniture, output, as_json)
    raise SystemExit(exit_for(len(parsed), len(failures)))


def _emit_parsed(
    parsed: list[ParsedPage],
    failures: list[PageFailure],
    furniture: PageFurniture,
    output: Path | None,
    as_json: bool,
) -> None:
    from ..markdown.render import page_markdown

    rendered = [page_markdown(page, furniture) for page in parsed]
    if output is not None:
        text = "\n\n".join(page.text for page in rendered) + "\n"
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
        notes.print(f"{len(parsed)} pages written to {output}", markup=False)
    if as_json:
        from .parsing import page_to_json

        emit_json(
            {
                "pages": [
                    page_to_json(page, text.text)
                    for page, text in zip(parsed, rendered, strict=True)
                ],
                "failures": [_failure(failure) for failure in failures],
            }
        )
    elif output is None:
        emit_text("\n\n".join(page.text for page in rendered))
    note_failures(failures)


@app.command()
def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or glob patterns.")],
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    api_key: ApiKeyOption = None,
    store_engine: StoreEngineOption = "auto",
    tenant: TenantOption = None,
    grpc: GrpcOption = False,
    wait: WaitOption = 0,
    model: ModelOption = None,
    engine: EngineOption = "auto",
    ocr_model: OcrModelOption = None,
    vllm_url: VllmOption = None,
    mode: ModeOption = AUTO,
    max_output_tokens: BudgetOption = None,
    device: DeviceOption = "auto",
    pages: PagesOption = None,
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
    report_file: ReportOption = None,
    metrics: MetricsOption = None,
    journal: JournalOption = "auto",
    force: Annotated[bool, typer.Option("--force", help="Do everything again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what is stored of files that are gone.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read documents and store their chunks; what is stored already is not done again."""
    with commands(as_json):
        from ..assembly import open_pipeline
        from ..documents.sources import expand_sources, roots_of
        from ..pipeline.report import IngestReport
        from ..reports.run import RunRecord

        files = expand_sources(paths)
        store = StoreConfig(qdrant, collection, api_key, store_engine, tenant, grpc, wait, journal)
        optical = optical_config(ocr_model, mode, device, max_output_tokens, tokens, codec)
        limits = work_limits(page_timeout, page_memory)
        server = vllm_server(engine, vllm_url, ocr_model)
        reader = EngineConfig(engine, workers, LayoutConfig(ocr=ocr), optical, limits, server)
        chunking = ChunkingConfig(max_tokens, target_tokens, overlap_tokens, furniture)
        if dry_run and (report_file or metrics):
            raise ConfigError("--dry-run does nothing to report; leave out --report and --metrics")
        source, record = SourceConfig(password, pages), RunRecord(report_file, metrics)
        options = IngestOptions(force, dry_run, prune, roots_of(paths))
        seen, report = (record.observe,), IngestReport()
        with (
            record.failures_noted(report),
            _ingest_progress() as on_event,
            open_pipeline(store, reader, chunking, model, seen, dry_run=dry_run) as pipeline,
        ):
            pipeline.run(files, source, on_event, options, report)
        record.write(report, source, limits)
        values = {**asdict(report), "failures": [_failure(f) for f in report.failures]}
        if as_json:
            emit_json(values)
        else:
            _note_report(values, prune)
        note_failures(report.failures)
    codes = [failure.code for failure in report.failures]
    # What a run that its server left has parsed is kept: it did not fail as a whole.
    raise SystemExit(exit_for_failures(report.documents + report.interrupted, codes))


@app.command()
def doctor(
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, what would be used, and how to get what is missing."""
    with commands(as_json):
        from .examination import examine

        findings = examine(model)
        ready = all(finding.ok or not finding.required for finding in findings)
        if as_json:
            emit_json({"ready": ready, "findings": [asdict(f) for f in findings]})
        else:
            for finding in findings:
                mark = "ok     " if finding.ok else "MISSING" if finding.required else "absent "
                emit(f"{mark} {finding.name}: {finding.detail}")
                if finding.fix:
                    emit(f"        {finding.fix}")
    raise SystemExit(Exit.OK if ready else Exit.FAILED)


def _failure(failure: PageFailure) -> dict[str, Any]:
    return {
        "file": failure.file,
        "page": failure.number,
        "code": failure.code,
        "message": failure.message,
    }


def _note_report(values: dict[str, Any], prune: bool) -> None:
    done = "still stored: --prune removes it"
    if prune:
        done = "would be removed" if values["dry_run"] else "removed"
    for path in values["vanished"]:
        notes.print(f"gone: {path} ({done})", markup=False, soft_wrap=True)
    for path in values["mended"]:
        notes.print(f"mended: {path} (damaged: pages may be missing)", markup=False, soft_wrap=True)
    words = (
        f"{values['documents']} documents ({values['unchanged']} unchanged,"
        f" {values['renamed']} renamed), {values['pages_parsed']} pages parsed,"
        f" {values['pages_reused']} reused, "
    )
    if values["dry_run"]:
        words = f"would be done: {words}"
    else:
        words += (
            f"{values['chunks']} chunks, {values['embedded']} embedded, "
            f"{values['points_written']} points written, {values['points_deleted']} deleted, "
        )
    notes.print(f"{words}{values['seconds']:.1f} s", markup=False, soft_wrap=True)


@contextmanager
def _progress(description: str) -> Iterator[tuple[Progress, Any]]:
    """A bar on stderr, if that is a terminal."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
    with bar:
        yield bar, bar.add_task(description, total=None)


@contextmanager
def _page_progress() -> Iterator[Callable[[int, int], None]]:
    with _progress("parsing") as (bar, task):
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _ingest_progress() -> Iterator[Callable[[Any], None]]:
    total = 0
    with _progress("ingesting") as (bar, task):

        def on_event(event: Any) -> None:
            nonlocal total
            if event.kind == "opened":
                total += event.pages
                bar.update(task, total=total)
            elif event.kind == "page":
                bar.update(task, advance=event.pages, description=plain(Path(event.file).name))

        yield on_event
