"""Times ``opticalrag ingest`` against a plain LlamaIndex pipeline, each a process from a shell.

    python -m benchmarks.ingesting.end_to_end FILE [FILE ...] [--pages N] [--model FOLDER]

Both read the same pages, cut pieces of 256 tokens, embed them with the same model and write them to
a folder. Start-up counts. See :mod:`benchmarks.ingesting.plain_pipeline`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pymupdf

from benchmarks.machine import describe


def cut(file: Path, first: int, pages: int, folder: Path) -> Path:
    """Write some pages of a PDF to a file of their own; ``first`` is 0-based."""
    with pymupdf.open(file) as source, pymupdf.open() as target:
        last = min(first + pages, len(source)) - 1
        target.insert_pdf(source, from_page=first, to_page=last)
        target.save(folder / file.name)
    return folder / file.name


def seconds(command: list[str]) -> float:
    """Run a command; its wall time."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--first", type=int, default=20, help="first page, 0-based")
    parser.add_argument("--pages", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    rows = []
    for file in options.files:
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for turn in range(options.repeat):
            with tempfile.TemporaryDirectory() as made:
                folder = Path(made)
                part = cut(file, options.first, options.pages, folder)
                ours = [str(Path(sys.executable).with_name("opticalrag")), "ingest", str(part)]
                ours += ["--qdrant", str(folder / "ours"), "--model", options.model]
                ours += ["--workers", str(options.workers)]
                plain = [sys.executable, "-m", "benchmarks.ingesting.plain_pipeline", str(part)]
                plain += [str(folder / "plain"), options.model]
                commands = {"ours": ours, "plain": plain}
                for name in ("ours", "plain") if turn % 2 else ("plain", "ours"):
                    times[name].append(seconds(commands[name]))
        best = {name: min(values) for name, values in times.items()}
        rows.append({"file": file.name, **best, "ratio": best["ours"] / best["plain"]})
        print(
            f"{file.name:40} ours {best['ours']:.1f} s, plain {best['plain']:.1f} s, "
            f"ratio {rows[-1]['ratio']:.2f}"
        )
    if options.output:
        values = {"machine": describe(), "pages": options.pages, "files": rows}
        options.output.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
