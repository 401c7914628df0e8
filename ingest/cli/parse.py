"""The ``parse`` command: one document to Markdown or JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.config import EngineConfig, PageFurniture, SourceConfig
from ..core.records import Block, OpticalReading, PageFailure, ParsedPage
from ..markdown.render import PageMarkdown
from .console import (
    commands,
    emit_json,
    emit_text,
    exit_for,
    failure_to_json,
    note,
    note_failures,
    progress_bar,
)
from .options import (
    FurnitureOption,
    JsonOption,
    PromptOption,
    ReadingOptions,
    grouped,
    output_option,
)

__all__ = ["page_to_json", "parse", "parse_document"]

_log = logging.getLogger(__name__)


@grouped
def parse(
    file: Annotated[str, typer.Argument(help="PDF or image.")],
    *,
    reading: ReadingOptions,
    furniture: FurnitureOption = "drop",
    prompt: PromptOption = "markdown",
    output: Annotated[
        Path | None,
        output_option("--output", "-o", help="Write the Markdown to this file, not to stdout."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a document into Markdown; --json adds each block's box on its page."""
    with commands(as_json):
        from ..system.files import check_target

        if output is not None and (output.is_file() or not output.exists()):
            check_target(output)  # a pipe or a device is written to as it is
        with progress_bar("parsing") as (bar, task):
            parsed, failures = parse_document(
                file,
                reading.config(prompt=prompt),
                reading.source(),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        _emit_parsed(parsed, failures, furniture, output, as_json)
    raise SystemExit(exit_for(len(parsed), len(failures)))


def _emit_parsed(
    parsed: list[ParsedPage],
    failures: list[PageFailure],
    furniture: PageFurniture,
    output: Path | None,
    as_json: bool,
) -> None:
    from ..chunking.furniture import write_pages

    written = write_pages(parsed, furniture)
    texts = [page.text for page in written]
    if output is not None:
        text = "\n\n".join(texts) + "\n"
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
        note(f"{len(parsed)} pages written to {output}")
    if as_json:
        pages = [page_to_json(page, made) for page, made in zip(parsed, written, strict=True)]
        emit_json({"pages": pages, "failures": [failure_to_json(one) for one in failures]})
    elif output is None:
        emit_text("\n\n".join(texts))
    note_failures(failures)


def parse_document(
    file: str | Path,
    engine: EngineConfig | None = None,
    source: SourceConfig | None = None,
    on_page: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[ParsedPage], list[PageFailure]]:
    """Parse a document's pages; return those that were read, in order, and the others' failures.

    ``on_page`` is called after each page with the number of finished pages and their total.

    Raises:
        SourceError: the file cannot be opened.
    """
    from ..documents.pages import open_document
    from ..engines.choice import make_engine

    options = source or SourceConfig()
    parsed: list[ParsedPage] = []
    failures: list[PageFailure] = []
    with (
        closing(make_engine(engine)) as reader,
        open_document(file, password=options.password, limits=options.limits) as document,
    ):
        if document.warning:
            _log.warning("%s", document.warning)
        total = len(document.page_refs(options.pages))
        for done, outcome in enumerate(reader.parse(document.tasks(options.pages)), start=1):
            if isinstance(outcome, PageFailure):
                failures.append(outcome)
            else:
                parsed.append(outcome)
            on_page(done, total)
    return parsed, failures


def page_to_json(page: ParsedPage, markdown: PageMarkdown) -> dict[str, Any]:
    """A parsed page as JSON values: page number from 1, boxes in fractions of the page."""
    return {
        "file": page.ref.document.uri or page.ref.document.name,
        "page": page.ref.number,
        "page_label": page.ref.label,
        "width": page.width,
        "height": page.height,
        "engine": page.engine,
        "flags": list(page.flags),
        "watermarks": list(page.watermarks),
        "seconds": round(page.seconds, 4),
        "optical": _reading_to_json(page.optical) if page.optical else None,
        "markdown": markdown.text,
        "furniture": list(markdown.furniture),
        "blocks": [_block_to_json(block) for block in page.blocks],
    }


def _reading_to_json(reading: OpticalReading) -> dict[str, Any]:
    return {**asdict(reading), "compression": round(reading.compression, 2)}


def _block_to_json(block: Block) -> dict[str, Any]:
    values: dict[str, Any] = {
        "kind": block.kind.value,
        "box": list(block.box.as_tuple()),
        "text": block.text,
        "level": block.level,
        "source": block.source.value,
        "raw_kind": block.raw_kind,
    }
    if block.table is not None:
        grid = block.table
        cells = [
            {**asdict(cell), "box": list(cell.box.as_tuple()) if cell.box else None}
            for cell in grid.cells
        ]
        values["table"] = {
            "rows": grid.rows,
            "cols": grid.cols,
            "header_rows": grid.header_rows,
            "cells": cells,
        }
    return values
