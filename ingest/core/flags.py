"""Names of the quality flags of a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["DOUBTFUL", "Flag", "doubts"]


class Flag:
    """Quality flags as they appear in ``ParsedPage.flags``."""

    LOOP: Final = "loop"
    """The model repeated itself and was stopped."""
    DRIFT: Final = "drift_loop"
    """Blocks were dropped because they repeat earlier ones."""
    TRUNCATED: Final = "truncated"
    """The model's answer was cut off at its token limit."""
    INVENTED: Final = "text_on_blank_page"
    """The model wrote text for a blank page."""
    EMPTY: Final = "no_text_found"
    """The model wrote no text although the page shows some."""
    SHORT: Final = "too_short"
    """Far fewer words than the ink suggests, on a page without a reliable text layer."""
    DISAGREES: Final = "low_agreement"
    """The model's text shares too few words with the page's text layer."""
    GRAMMAR: Final = "broken_markup"
    """Too much of the model's markup is invalid."""
    FROM_TEXT_LAYER: Final = "text_layer_used"
    """The layout engine's text replaces the model's."""
    HIDDEN: Final = "text_hidden"
    """Text that nobody sees on the page was left out."""
    WATERMARK: Final = "watermark"
    """Text printed across the page was left out."""
    BLANK: Final = "blank"
    """The page is blank."""
    DAMAGED: Final = "damaged_file"
    """The page is empty and its file had to be repaired: its content may be lost."""
    FORM: Final = "form"
    """The page has fields of a form; marks of boxes to tick, ☒ and ☐, are their states."""


DOUBTFUL: Final = frozenset(
    {
        Flag.LOOP,
        Flag.DRIFT,
        Flag.TRUNCATED,
        Flag.INVENTED,
        Flag.EMPTY,
        Flag.SHORT,
        Flag.DISAGREES,
        Flag.GRAMMAR,
        Flag.DAMAGED,
        "ocr_missing",  # from the layout engine: a scanned page, and no OCR is installed
    }
)
"""Flags of pages whose text may be wrong or incomplete."""


def doubts(flags: Iterable[str]) -> tuple[str, ...]:
    """The doubtful flags of a page, sorted; none if the text layer replaced the model's text."""
    found = frozenset(flags)
    return () if Flag.FROM_TEXT_LAYER in found else tuple(sorted(found & DOUBTFUL))
