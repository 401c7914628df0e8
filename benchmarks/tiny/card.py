"""Writes the measurements into the table of the small model's card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["with_table"]

_HEAD: Final = (
    "| mode | vision tokens | letters per vision token | pages | characters right, free OCR"
    " | Markdown | box overlap (IoU) |"
)
_TABLE: Final = re.compile(r"^\| mode \|.*\n(?:\|.*\n)+", re.MULTILINE)


def with_table(card: str, budgets: Sequence[Mapping[str, Any]]) -> str:
    """Replace the table of budgets in a card.

    Args:
        card: Markdown that contains a table of budgets.
        budgets: the results of :func:`.evaluate.budget`.
    """
    table = "\n".join([_HEAD, "|" + "---|" * _HEAD.count(" |"), *map(_row, budgets)])
    return _TABLE.sub(lambda _: f"{table}\n", card, count=1)


def _row(budget: Mapping[str, Any]) -> str:
    cells = (
        f"`{budget['mode']}`",
        str(budget["vision_tokens"]),
        f"{budget['compression']:.1f}",
        str(budget["pages"]),
        f"{budget['free_ocr']:.1%}",
        f"{budget['markdown']:.1%}",
        f"{budget['box_iou']:.2f}",
    )
    return f"| {' | '.join(cells)} |"
