"""One document to parsed pages, and parsed pages to JSON: the ``parse`` command's work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.config import EngineConfig, SourceConfig
from ..core.records import Block, OpticalReading, PageFailure, ParsedPage
from ..documents.pages import open_document
from ..engines.choice import make_engine

__all__ = ["page_to_json", "parse_document"]

_log = logging.getLogger(__name__)


def parse_document(
    file: str | Path,
    engine: EngineConfig | None = None,
    source: SourceConfig | None = None,
    on_page: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[ParsedPage], list[PageFailure]]:
    """Parse a document's pages.

    Args:
        file: path of a PDF or image.
        engine: which engine reads it.
        source: password, pages and limits.
        on_page: called with the pages done and their total.

    Returns:
        The pages that could be read, in order, and the failures of the others.

    Raises:
        SourceError: the file cannot be opened.
    """
    options = source or SourceConfig()
    parsed: list[ParsedPage] = []
    failures: list[PageFailure] = []
    reader = make_engine(engine)
    try:
        with open_document(file, password=options.password, limits=options.limits) as document:
            if document.warning:
                _log.warning("%s", document.warning)
            total = len(document.page_refs(options.pages))
            tasks = document.tasks(options.pages)
            for done, outcome in enumerate(reader.parse(tasks), start=1):
                if isinstance(outcome, PageFailure):
                    failures.append(outcome)
                else:
                    parsed.append(outcome)
                on_page(done, total)
    finally:
        reader.close()
    return parsed, failures


def page_to_json(page: ParsedPage, markdown: str) -> dict[str, Any]:
    """A parsed page as JSON values: 1-based page number, boxes in fractions of the page."""
    return {
        "file": page.ref.document.uri or page.ref.document.name,
        "page": page.ref.number,
        "page_label": page.ref.label,
        "width": page.width,
        "height": page.height,
        "engine": page.engine,
        "flags": list(page.flags),
        "seconds": round(page.seconds, 4),
        "optical": _reading_to_json(page.optical) if page.optical else None,
        "markdown": markdown,
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
