"""Runs pymupdf4llm's page chunks on PDF files, which it parses itself."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pymupdf
import pymupdf4llm

from .protocol import Outcome, PeerInput, Piece, measure, run_peer


def cut(file: Path) -> list[dict[str, Any]]:
    """Make its page chunks, without its printed messages."""
    with contextlib.redirect_stdout(io.StringIO()):
        return pymupdf4llm.to_markdown(str(file), page_chunks=True)


def pieces(name: str, chunks: Sequence[Mapping[str, Any]], file: Path) -> Iterator[Piece]:
    """Turn page chunks into pieces, with the boxes of their parts."""
    with pymupdf.open(file) as document:
        for chunk in chunks:
            number = chunk["metadata"]["page_number"]
            area = document[number - 1].rect
            boxes = tuple(
                (
                    number,
                    *(
                        value / side
                        for value, side in zip(
                            part["bbox"],
                            (area.width, area.height, area.width, area.height),
                            strict=True,
                        )
                    ),
                )
                for part in chunk["page_boxes"]
            )
            yield Piece(name, chunk["text"], chunk["text"], (number,), boxes)


def run(given: PeerInput) -> Iterator[Outcome]:
    """Run it on the sources that are PDF files."""
    pymupdf.set_messages(path=os.devnull)
    files = {s["name"]: Path(s["file"]) for s in given.sources if s["file"]}
    outcome = measure(
        "pymupdf4llm page chunks",
        version("pymupdf4llm"),
        files,
        cut,
        lambda name, chunks: list(pieces(name, chunks, files[name])),
        repeat=1,  # parsing the files again takes most of the time
    )
    others = [s["name"] for s in given.sources if not s["file"]]
    reason = dict.fromkeys(others, "not a PDF file")
    yield Outcome(**{**vars(outcome), "failures": {**outcome.failures, **reason}})


if __name__ == "__main__":
    run_peer(run)
