"""Sets of questions about PDFs, with the pages that answer them, and how rankings are measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEPTHS", "MEASURES", "Page", "Question", "QuestionSet", "measured", "question_sets"]

DEPTHS: Final = (1, 3, 5, 10)
MEASURES: Final = (*(f"@{depth}" for depth in DEPTHS), "ndcg@10")
_OWN: Final = Path(__file__).parent / "questions.json"

Page = tuple[str, int]
"""A file name and a 1-based page."""


@dataclass(frozen=True)
class Question:
    """A question, the pages of one file that answer it, and the kinds of its evidence."""

    text: str
    pages: frozenset[Page]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class QuestionSet:
    """Questions about files that are searched together."""

    name: str
    files: tuple[Path, ...]
    questions: tuple[Question, ...]


def question_sets(data: Path) -> list[QuestionSet]:
    """The sets in a folder: ``filings_qa``, ``pages_qa``, and ours over the PDFs in ``pdf``."""
    foreign = [(data / name, data / name / "questions.json") for name in ("filings_qa", "pages_qa")]
    return [_read(folder, questions) for folder, questions in [*foreign, (data, _OWN)]]


def _read(folder: Path, questions: Path) -> QuestionSet:
    files = tuple(sorted((folder / "pdf").glob("*.pdf")))
    names = {file.name for file in files}
    entries = json.loads(questions.read_text(encoding="utf-8"))["questions"]
    read = tuple(
        Question(
            entry["question"],
            frozenset((entry["file"], page) for page in entry["pages"]),
            (entry["kind"],) if isinstance(entry["kind"], str) else tuple(entry["kind"]),
        )
        for entry in entries
        if entry["file"] in names
    )
    return QuestionSet("own" if questions == _OWN else folder.name, files, read)


def measured(question: Question, ranking: Sequence[Page]) -> NDArray[np.float64]:
    """Measure the first ten pages of a ranking: :data:`MEASURES`, from 0 to 1."""
    right = np.array([page in question.pages for page in ranking[:10]], dtype=float)
    discounts = 1 / np.log2(np.arange(2, 12))
    best = discounts[: len(question.pages)].sum()
    hits = [float(right[:depth].any()) for depth in DEPTHS]
    return np.array([*hits, (right * discounts[: len(right)]).sum() / best])
