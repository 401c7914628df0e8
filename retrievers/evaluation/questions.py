"""Reads question sets: JSON files with questions and the pages that answer them.

.. code-block:: json

    {
      "questions": [
        {
          "question": "How many filters are in store?",
          "document": "report.pdf",
          "pages": [7],
          "boxes": [{"page": 7, "box": [0.1, 0.2, 0.9, 0.25]}],
          "kind": "table"
        }
      ]
    }

``document`` is a file name, a path or a document id. ``pages`` are 1-based; any of them answers the
question. ``boxes`` (optional) say where on these pages, as fractions of the page as displayed,
origin top left, like the boxes of ``opticalrag search --json``. ``kind`` (optional) names a group.
Other fields beside ``questions`` are ignored.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...ingest.core.errors import ConfigError, QuestionError
from ...ingest.core.records import Box

__all__ = ["Question", "QuestionSet", "parse_questions", "read_questions"]

_LARGEST: Final = 16 * 1024**2  # bytes; ten thousand questions take 2 MB
_FIELDS: Final = ("question", "document", "pages", "boxes", "kind")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and where its answer is.

    Attributes:
        position: of the question in its set, from 1.
        document: file name, path or id of the document.
        pages: the pages that answer it, 1-based.
        boxes: pairs of a page and the box of the answer; empty: not given.
        kind: a group to report on; empty: none.
    """

    position: int
    question: str
    document: str
    pages: tuple[int, ...]
    boxes: tuple[tuple[int, Box], ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """The valid questions of a file, and one error for each of the others."""

    questions: tuple[Question, ...]
    errors: tuple[QuestionError, ...] = ()


def read_questions(file: Path) -> QuestionSet:
    """Read a question set.

    Raises:
        ConfigError: the file is too large or is not a question set.
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ConfigError(f"{file} has more than {_LARGEST:,} bytes: split the question set")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not JSON ({error}): correct it") from error
    entries = content.get("questions") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f'{file} has no questions: write {{"questions": [...]}}, at least one')
    return parse_questions(entries)


def parse_questions(entries: Sequence[object]) -> QuestionSet:
    """Validate the entries of a set. A wrong entry does not lose the others."""
    questions: list[Question] = []
    errors: list[QuestionError] = []
    for position, entry in enumerate(entries, start=1):
        try:
            questions.append(_question(position, entry))
        except QuestionError as error:  # noqa: PERF203  a wrong entry does not lose the others
            errors.append(error)
    return QuestionSet(tuple(questions), tuple(errors))


def _question(position: int, entry: object) -> Question:
    if not isinstance(entry, dict):
        raise QuestionError.at(position, f"it is {_show(entry)}: use an object with its fields")
    unknown = [name for name in entry if name not in _FIELDS]
    if unknown:
        raise QuestionError.at(
            position, f"unknown field {_show(unknown[0])}: use {', '.join(_FIELDS)}"
        )
    pages = _pages(position, entry.get("pages"))
    return Question(
        position,
        _text(position, entry, "question"),
        _text(position, entry, "document"),
        pages,
        _boxes(position, entry.get("boxes", []), pages),
        _text(position, entry, "kind") if "kind" in entry else "",
    )


def _text(position: int, entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise QuestionError.at(position, f"{name} is {_show(value)}: write text that is not empty")
    return value


def _pages(position: int, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(map(_is_page, value)):
        raise QuestionError.at(position, f"pages is {_show(value)}: list page numbers from 1")
    return tuple(dict.fromkeys(value))


def _boxes(position: int, value: object, pages: tuple[int, ...]) -> tuple[tuple[int, Box], ...]:
    if not isinstance(value, list):
        raise QuestionError.at(position, f"boxes is {_show(value)}: list objects with page and box")
    return tuple(_box(position, one, pages) for one in value)


def _box(position: int, value: object, pages: tuple[int, ...]) -> tuple[int, Box]:
    if not isinstance(value, dict) or value.keys() != {"page", "box"}:
        raise QuestionError.at(position, f"a box is {_show(value)}: use page and box")
    page, edges = value["page"], value["box"]
    if not _is_page(page) or page not in pages:
        raise QuestionError.at(
            position, f"a box is on page {_show(page)}, which pages does not list: add the page"
        )
    if not isinstance(edges, list) or len(edges) != 4 or not all(map(_is_fraction, edges)):
        raise QuestionError.at(
            position, f"a box is {_show(edges)}: use [x0, y0, x1, y1] as fractions from 0 to 1"
        )
    x0, y0, x1, y1 = map(float, edges)
    if x0 >= x1 or y0 >= y1:
        raise QuestionError.at(
            position, f"the box {_show(edges)} is empty: use x0 < x1 and y0 < y1, from the top left"
        )
    return page, Box(x0, y0, x1, y1)


def _is_page(value: object) -> bool:
    return type(value) is int and value >= 1  # a bool is an int, too


def _is_fraction(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]


def _show(value: object) -> str:
    return "missing" if value is None else reprlib.repr(value)  # bounded in length and in depth
