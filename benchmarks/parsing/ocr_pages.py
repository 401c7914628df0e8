"""Lists the pages that the layout engine reads with OCR: which areas, why, how long.

    python -m benchmarks.parsing.ocr_pages [FOLDER ...] [--output FILE]

*Repeated* counts the words found by OCR that the text layer has within the same box: text that was
read twice. It must be 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.parsing.parse import DATA, words
from opticalrag.ingest.core.config import LayoutConfig
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import reading
from opticalrag.ingest.engines.layout.geometry import overlap
from opticalrag.ingest.engines.layout.ocr.scan import read_page_image
from opticalrag.ingest.engines.layout.page import parse_page


@dataclass(frozen=True)
class OcrPage:
    """A page that was drawn and read.

    Attributes:
        file: name of its file.
        page: its number, from 1.
        why: ``no text``, ``unreadable text`` or ``pictures look like text``.
        areas: the boxes that were read, in whole points; empty for the whole page.
        lines: number of lines found.
        repeated: words that the text layer has at the same spot.
        seconds: time of drawing and reading.
        start: the first words found.
    """

    file: str
    page: int
    why: str
    areas: list[list[int]]
    lines: int
    repeated: int
    seconds: float
    start: str


def ocr_pages(file: Path) -> Iterator[OcrPage]:
    """Parse a file and yield the pages that were read by OCR."""
    with open_document(file) as document:
        for task in document.tasks():
            with mock.patch.object(reading, "read_page_image", side_effect=_timed) as reads:
                parsed = _parse(file, task)
            for call in reads.call_args_list:
                seconds, lines = _TIMES.pop()
                known = call.args[3]
                yield OcrPage(
                    file.name,
                    task.ref.number,
                    _why(parsed.flags, known),
                    [[round(v) for v in area] for area in call.args[4]] if known else [],
                    len(lines),
                    _repeated(lines, known),
                    round(seconds, 2),
                    " ".join(text for _, text in lines)[:60],
                )


_TIMES: list[tuple[float, list[Any]]] = []


def _timed(*args: Any) -> Any:
    started = time.perf_counter()
    turn, skew, lines = read_page_image(*args)
    _TIMES.append((time.perf_counter() - started, lines))
    return turn, skew, lines


def _parse(file: Path, task: Any) -> Any:
    import pymupdf

    with pymupdf.open(file) as document:
        return parse_page(document, task.ref, LayoutConfig())


def _why(flags: tuple[str, ...], known: Any) -> str:
    if "text_layer_garbled" in flags:
        return "unreadable text"
    return "pictures look like text" if known else "no text"


def _repeated(lines: list[Any], known: Any) -> int:
    return sum(
        token in words(word.text)
        for box, text in lines
        for word in known
        if overlap(box, word.rect) > 0
        for token in words(text)
    )


def main() -> int:
    """Print the pages of all files of the folders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[DATA / "pages_qa" / "pdf"])
    parser.add_argument("--output", type=Path, help="write the pages as JSON")
    options = parser.parse_args()
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    files = sorted(file for folder in options.folders for file in folder.glob("*.pdf"))
    pages = []
    for file in files:
        for page in ocr_pages(file):
            pages.append(page)
            areas = "; ".join(map(str, page.areas)) or "whole page"
            print(
                f"{page.file[:30]:31}{page.page:4}  {page.why:24}{page.seconds:6.2f} s"
                f"{page.lines:4} lines {page.repeated:3} repeated  {areas}  {page.start!r}"
            )
    print(f"{len(pages)} pages, {sum(p.seconds for p in pages):.1f} s")
    if options.output:
        rows = [asdict(page) for page in pages]
        options.output.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
