"""Messages between the benchmark and the runners of other chunkers. Standard library only.

``python -m benchmarks.peers.run_NAME INPUT OUTPUT`` starts a runner. The input is one JSON object
with ``tokenizer`` (a folder), ``max_tokens`` and ``sources``. A source has ``name``, ``file`` (a
PDF, or null) and ``pages``. A page has ``number`` (1-based), ``label``, ``width`` and ``height``
(points), ``text`` (Markdown) and ``blocks``. The output is a list of outcomes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Outcome", "PeerInput", "Piece", "measure", "read_outcomes", "run_peer"]

REPEAT = 3

PageBox = tuple[int, float, float, float, float]
"""1-based page, then left, top, right, bottom in fractions of the displayed page."""


@dataclass(frozen=True)
class Piece:
    """A chunk. ``embedded`` is the string to embed, ``body`` the same without context.

    ``boxes`` is None for chunkers without boxes.
    """

    source: str
    embedded: str
    body: str
    pages: tuple[int, ...]
    boxes: tuple[PageBox, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """The output of one chunker. ``seconds`` is its best run over all sources."""

    chunker: str
    version: str
    pieces: tuple[Piece, ...]
    seconds: float
    failures: Mapping[str, str]


@dataclass(frozen=True)
class PeerInput:
    """The input of a runner; see the module docstring."""

    tokenizer: str
    max_tokens: int
    sources: tuple[Mapping[str, Any], ...]


def measure(
    chunker: str,
    version: str,
    prepared: Mapping[str, Any],
    cut: Callable[[Any], Iterable[Any]],
    read: Callable[[str, Any], Iterable[Piece]],
    repeat: int = REPEAT,
) -> Outcome:
    """Chunk every source, record which ones fail, and time the others.

    Args:
        chunker: name of the row.
        version: of the chunker's package.
        prepared: the chunker's input for each source; preparing it is not timed.
        cut: the chunker; only this call is timed.
        read: turns the chunker's output into pieces.
        repeat: number of timed runs; the best one counts.
    """
    pieces: list[Piece] = []
    failures: dict[str, str] = {}
    for name, value in prepared.items():
        made = _attempt(lambda n=name, v=value: list(read(n, list(cut(v)))))
        if isinstance(made, str):
            failures[name] = made
        else:
            pieces += [piece for piece in made if piece.embedded.strip()]
    good = [value for name, value in prepared.items() if name not in failures]
    seconds = min(_seconds(good, cut) for _ in range(repeat))
    return Outcome(chunker, version, tuple(pieces), seconds, failures)


def _attempt(make: Callable[[], list[Piece]]) -> list[Piece] | str:
    """The result of a call, or the reason why it failed."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - other projects may raise anything
        return f"{type(error).__name__}: {error}"[:300]


def _seconds(values: Iterable[Any], cut: Callable[[Any], Iterable[Any]]) -> float:
    started = time.perf_counter()
    for value in values:
        list(cut(value))
    return time.perf_counter() - started


def run_peer(run: Callable[[PeerInput], Iterable[Outcome]]) -> None:
    """Run as a runner: read the input, chunk, write the outcomes."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    outcomes = run(PeerInput(**json.loads(source.read_text("utf-8"))))
    target.write_text(json.dumps([asdict(outcome) for outcome in outcomes]), "utf-8")


def read_outcomes(file: Path) -> list[Outcome]:
    """Read the output of a runner."""
    return [
        Outcome(**{**outcome, "pieces": tuple(_piece(p) for p in outcome["pieces"])})
        for outcome in json.loads(file.read_text("utf-8"))
    ]


def _piece(values: dict[str, Any]) -> Piece:
    boxes = values["boxes"]
    return Piece(
        values["source"],
        values["embedded"],
        values["body"],
        tuple(values["pages"]),
        None if boxes is None else tuple(tuple(box) for box in boxes),
    )
