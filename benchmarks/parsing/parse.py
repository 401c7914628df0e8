"""Compares the layout engine with pymupdf4llm on a folder of PDFs: words found, order, time.

    python benchmarks/parsing/parse.py [FOLDER] [--truth FOLDER] [--output FILE] [--repeat N]

Both read the same files in the same process, in alternating order, after a warm-up. *Recall* is the
share of the reference's words (with repeats) in the output; *order* is one minus the word edit
distance divided by the length of the longer text. The references are Markdown files of the same
name in the truth folder, and the output of pymupdf4llm.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import platform
import re
import statistics
import sys
import time
import unicodedata
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
import pymupdf4llm

from opticalrag.ingest.core.records import PageFailure, PageTask, ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.markdown.render import page_markdown

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("OPTICALRAG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

_NOT_TEXT = re.compile(r"<!--.*?-->|</?[a-zA-Z][^>]*>|!\[[^\]]*\]\([^)]*\)", re.S)
_EMPHASIS = re.compile(r"(?<!\w)[*_~`]+|[*_~`]+(?!\w)|\*\*")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Reading:
    """One parser on one file. ``recall`` and ``order`` compare with the truth, if there is one."""

    seconds: float
    recall: float | None
    order: float | None


@dataclass(frozen=True)
class Row:
    """One file. ``cross_recall`` is the share of pymupdf4llm's words that the engine found too."""

    file: str
    pages: int
    blocks: int
    failures: int
    ours: Reading
    theirs: Reading
    cross_recall: float


def words(markdown: str) -> list[str]:
    """The lower-case words of Markdown, without markup."""
    plain = _EMPHASIS.sub("", _NOT_TEXT.sub(" ", markdown))
    return _WORD.findall(unicodedata.normalize("NFKC", plain).casefold())


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


def read_ours(engine: LayoutEngine, file: Path) -> tuple[str, list[ParsedPage], int]:
    """Parse a file with the engine: its Markdown, its pages, and how many failed."""
    with open_document(file) as document:
        outcomes = list(engine.parse(document.tasks()))
    pages = [o for o in outcomes if not isinstance(o, PageFailure)]
    text = "\n\n".join(page_markdown(page, furniture="keep").text for page in pages)
    return text, pages, len(outcomes) - len(pages)


def read_theirs(file: Path) -> str:
    """Parse a file with pymupdf4llm, without its messages."""
    with contextlib.redirect_stdout(io.StringIO()), pymupdf.open(file) as document:
        return str(pymupdf4llm.to_markdown(document))


def compare(engine: LayoutEngine, file: Path, truth: Path, repeat: int) -> Row:
    """Parse a file with both, ``repeat`` times in alternating order, and score the results."""
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(repeat):
        for name in ("ours", "theirs") if turn % 2 else ("theirs", "ours"):
            started = time.perf_counter()
            if name == "ours":
                text, pages, failures = read_ours(engine, file)
            else:
                markdown = read_theirs(file)
            times[name].append(time.perf_counter() - started)
    ours, theirs = words(text), words(markdown)
    reference_file = truth / f"{file.stem}.md"
    reference = words(reference_file.read_text("utf-8")) if reference_file.is_file() else None
    return Row(
        file=file.name,
        pages=len(pages),
        blocks=sum(len(page.blocks) for page in pages),
        failures=failures,
        ours=_score(times["ours"], reference, ours),
        theirs=_score(times["theirs"], reference, theirs),
        cross_recall=recall(theirs, ours),
    )


def _score(seconds: list[float], reference: list[str] | None, found: list[str]) -> Reading:
    middle = statistics.median(seconds)
    if reference is None:
        return Reading(middle, None, None)
    return Reading(middle, recall(reference, found), order_similarity(reference, found))


def seconds_of_corpus(files: list[Path], workers: int) -> float:
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


def machine() -> dict[str, Any]:
    """Describe the machine."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else []
    packages = ("pymupdf", "rapidocr", "onnxruntime", "numpy")
    return {
        "cores": os.cpu_count(),
        "cpu": names[0] if names else platform.processor(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def print_table(rows: list[Row]) -> None:
    """Print one line per file: the engine and pymupdf4llm."""
    print(
        f"{'file':38}{'pages':>6}{'blocks':>7}{'s/page':>8}{'(4llm)':>8}"
        f"{'recall':>8}{'(4llm)':>8}{'order':>8}{'(4llm)':>8}{'cross':>8}"
    )
    for row in rows:
        per_page = [r.seconds / max(1, row.pages) for r in (row.ours, row.theirs)]
        scores = (row.ours.recall, row.theirs.recall, row.ours.order, row.theirs.order)
        shown = "".join(f"{'-' if s is None else format(s, '.3f'):>8}" for s in scores)
        print(
            f"{row.file[:37]:38}{row.pages:6}{row.blocks:7}{per_page[0]:8.2f}{per_page[1]:8.2f}"
            f"{shown}{row.cross_recall:8.3f}" + ("  FAILURES" if row.failures else "")
        )


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DATA / "pdf")
    parser.add_argument("--truth", type=Path, default=DATA / "pdf_truth")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    pymupdf.set_messages(path=os.devnull)  # pymupdf4llm reports every page it reads
    files = sorted(options.folder.glob("*.pdf"))
    if not files:
        parser.error(f"no PDF in {options.folder}")
    engine = LayoutEngine()
    compare(engine, files[0], options.truth, 1)
    rows = [compare(engine, file, options.truth, options.repeat) for file in files]
    engine.close()
    totals = {
        "ours": sum(r.ours.seconds for r in rows),
        "theirs": sum(r.theirs.seconds for r in rows),
        "serial": seconds_of_corpus(files, 1),
        "two_workers": seconds_of_corpus(files, 2),
    }
    print_table(rows)
    print(
        f"\ntime: {totals['ours']:.1f} s, pymupdf4llm {totals['theirs']:.1f} s,"
        f" ratio {totals['ours'] / totals['theirs']:.2f}"
    )
    print(
        f"one stream: serial {totals['serial']:.1f} s, two workers {totals['two_workers']:.1f} s,"
        f" {totals['serial'] / totals['two_workers']:.2f} times as fast"
    )
    print("machine:", ", ".join(f"{k} {v}" for k, v in machine().items()))
    if options.output:
        values = {"machine": machine(), "seconds": totals, "files": [asdict(r) for r in rows]}
        options.output.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
