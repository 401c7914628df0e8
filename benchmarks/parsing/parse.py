"""Compares the layout engine with pymupdf4llm on folders of PDFs: words found, order, time.

    python -m benchmarks.parsing.parse [FOLDER ...] [--output FILE] [--repeat N]

Each parser runs in a process of its own. They read the same files in turn, after a warm-up, one
page at a time, with the same OCR. *Recall* is the share of the reference's words (with repeats)
that are found. The reference is a Markdown file of the same name in the truth folder, else the
words that the text layer shows. *Order* is one minus the word edit distance to the truth divided
by the length of the longer text. The slowest file, compared with pymupdf4llm, comes first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf

from benchmarks.machine import describe
from benchmarks.parsing.readers import Read, Reader
from opticalrag.ingest.core.records import PageTask
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import LayoutEngine

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("OPTICALRAG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
FOLDERS = (DATA / "pdf", DATA / "pages_qa" / "pdf")

_NOT_TEXT = re.compile(r"<!--.*?-->|</?[a-zA-Z][^>]*>|!\[[^\]]*\]\([^)]*\)", re.S)
_EMPHASIS = re.compile(r"(?<!\w)[*_~`]+|[*_~`]+(?!\w)|\*\*")
_WORD = re.compile(r"\w+")
_SET_APART = re.compile(r"(?<!\S)(?:[A-Z] ){3,}[A-Z](?!\S)")
"""Capitals set apart, "A N N U A L": one word, not six."""
_CONTRAST = 24
"""Least difference of the greys within the box of a word that is seen, of 255."""


@dataclass(frozen=True)
class Reading:
    """One parser on one file; ``order`` is None without a truth. ``seconds`` is the median."""

    seconds: float
    cpu_seconds: float
    recall: float
    order: float | None


@dataclass(frozen=True)
class Row:
    """One file.

    Attributes:
        folder: name of its folder.
        file: its name.
        pages: number of pages.
        blocks: number of blocks that the engine found.
        failures: pages that the engine could not read.
        reference: ``truth`` or ``layer``, the words that recall is measured against.
        ratio: the engine's time divided by that of pymupdf4llm.
        ours: the engine.
        theirs: pymupdf4llm.
        cross_recall: share of pymupdf4llm's words that the engine found too.
    """

    folder: str
    file: str
    pages: int
    blocks: int
    failures: int
    reference: str
    ratio: float
    ours: Reading
    theirs: Reading
    cross_recall: float


def words(markdown: str) -> list[str]:
    """The lower-case words of Markdown, without markup."""
    plain = _EMPHASIS.sub("", _NOT_TEXT.sub(" ", markdown))
    return _WORD.findall(unicodedata.normalize("NFKC", plain).casefold())


def seen_words(file: Path) -> list[str]:
    """The words of a file's text layer in whose box the drawn page shows something."""
    found: list[str] = []
    with pymupdf.open(file) as document:
        for page in document:
            drawn = page.get_pixmap(dpi=144, colorspace=pymupdf.csGRAY)
            grey = np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width)
            boxes = page.get_text("words")
            found += [b[4] for b in boxes if _is_seen(grey, page.rotation_matrix, b)]
    return words(_SET_APART.sub(lambda m: m[0].replace(" ", ""), " ".join(found)))


def _is_seen(grey: np.ndarray, turn: pymupdf.Matrix, box: tuple[Any, ...]) -> bool:
    x0, y0, x1, y1 = (max(0, round(2 * v)) for v in pymupdf.Rect(box[:4]) * turn)
    part = grey[y0 : y1 + 1, x0 : x1 + 1]
    return bool(part.size and int(part.max()) - int(part.min()) > _CONTRAST)


def recall(reference: list[str], found: list[str]) -> float:
    """The share of the reference's words that were found, with repeats."""
    if not reference:
        return 1.0
    return sum((Counter(reference) & Counter(found)).values()) / len(reference)


def order_similarity(a: list[str], b: list[str]) -> float:
    """One minus the word edit distance divided by the length of the longer text."""
    if not a or not b:
        return float(not a and not b)
    codes = {word: i for i, word in enumerate({*a, *b})}
    other = np.array([codes[word] for word in b])
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for i, word in enumerate(a, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (other != codes[word]))
        # A run of insertions: each position can be reached from the best earlier one.
        row = np.minimum.accumulate(np.concatenate(([i], best)) - steps) + steps
    return 1 - float(row[-1]) / max(len(a), len(b))


def compare(readers: dict[str, Reader], file: Path, truth: Path, repeat: int) -> Row:
    """Parse a file with both, ``repeat`` times in alternating order, and score the results."""
    reads: dict[str, list[Read]] = {"ours": [], "theirs": []}
    for turn in range(repeat):
        for name in ("ours", "theirs") if turn % 2 else ("theirs", "ours"):
            reads[name].append(readers[name].read(file))
    found = {name: words(read[-1].text) for name, read in reads.items()}
    reference = truth / f"{file.stem}.md"
    is_true = reference.is_file()
    wanted = words(reference.read_text("utf-8")) if is_true else seen_words(file)
    scores = {name: _score(reads[name], wanted, found[name], is_true) for name in reads}
    ours = reads["ours"][-1]
    return Row(
        folder=file.parent.name if file.parent.name != "pdf" else file.parent.parent.name,
        file=file.name,
        pages=ours.pages,
        blocks=ours.blocks,
        failures=ours.failed,
        reference="truth" if is_true else "layer",
        ratio=scores["ours"].seconds / scores["theirs"].seconds,
        ours=scores["ours"],
        theirs=scores["theirs"],
        cross_recall=recall(found["theirs"], found["ours"]),
    )


def _score(reads: list[Read], wanted: list[str], found: list[str], ordered: bool) -> Reading:
    return Reading(
        statistics.median(r.seconds for r in reads),
        statistics.median(r.cpu for r in reads),
        recall(wanted, found),
        order_similarity(wanted, found) if ordered else None,
    )


def seconds_of_corpus(files: Sequence[Path], workers: int) -> float:
    """Time all pages of all files in one stream, with processes already running."""
    engine = LayoutEngine(workers=workers)
    with ExitStack() as stack:
        stack.callback(engine.close)
        documents = [stack.enter_context(open_document(file)) for file in files]
        tasks: list[PageTask] = [task for d in documents for task in d.tasks()]
        list(engine.parse(tasks[: 4 * workers]))
        started = time.perf_counter()
        list(engine.parse(tasks))
        return time.perf_counter() - started


def print_table(rows: Sequence[Row]) -> None:
    """Print one line per file, the slowest first."""
    print(
        f"{'file':42}{'pages':>6}{'ratio':>7}{'s/page':>8}{'(4llm)':>8}"
        f"{'recall':>8}{'(4llm)':>8}{'order':>8}{'(4llm)':>8}"
    )
    for row in rows:
        per_page = [r.seconds / max(1, row.pages) for r in (row.ours, row.theirs)]
        scores = (row.ours.recall, row.theirs.recall, row.ours.order, row.theirs.order)
        shown = "".join(f"{'-' if s is None else format(s, '.3f'):>8}" for s in scores)
        print(
            f"{row.folder[:8] + '/' + row.file[:32]:42}{row.pages:6}{row.ratio:7.2f}"
            f"{per_page[0]:8.2f}{per_page[1]:8.2f}{shown}" + ("  FAILURES" if row.failures else "")
        )


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Median and worst ratio of time, and the time of all files."""
    return {
        "median_ratio": statistics.median(r.ratio for r in rows),
        "worst_ratio": max(r.ratio for r in rows),
        "ours": sum(r.ours.seconds for r in rows),
        "theirs": sum(r.theirs.seconds for r in rows),
    }


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, default=list(FOLDERS))
    parser.add_argument("--truth", type=Path, default=DATA / "pdf_truth")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    files = sorted(file for folder in options.folders for file in folder.glob("*.pdf"))
    if not files:
        parser.error(f"no PDF in {', '.join(map(str, options.folders))}")
    readers = {name: Reader(name) for name in ("ours", "theirs")}
    for reader in readers.values():  # warm-up
        reader.read(files[0])
    rows = [compare(readers, file, options.truth, options.repeat) for file in files]
    rows.sort(key=lambda row: -row.ratio)
    peaks = {name: reader.close() for name, reader in readers.items()}
    print_table(rows)
    result = summary(rows)
    for workers in (1, 2):
        result[f"stream_of_{workers}"] = seconds_of_corpus(files, workers)
    machine = describe() | {n: version(n) for n in ("pymupdf", "rapidocr", "onnxruntime")}
    print(
        f"\nratio: median {result['median_ratio']:.2f}, worst {result['worst_ratio']:.2f};"
        f" all files {result['ours']:.1f} s, pymupdf4llm {result['theirs']:.1f} s"
        f"\none stream: one process {result['stream_of_1']:.1f} s, two workers"
        f" {result['stream_of_2']:.1f} s"
        f"\npeak memory: {peaks['ours']:.0f} MB, pymupdf4llm {peaks['theirs']:.0f} MB"
        f"\nmachine: {', '.join(f'{k} {v}' for k, v in machine.items())}"
    )
    if options.output:
        values = {
            "machine": machine,
            "summary": result,
            "peak_mb": peaks,
            "files": [asdict(r) for r in rows],
        }
        options.output.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
