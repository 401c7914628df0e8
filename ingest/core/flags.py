"""What can be wrong with a page's text, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["DOUBTFUL", "Flag", "doubts"]


class Flag:
    """Names of what can be wrong with a page, as they appear in ``ParsedPage.flags``."""

    LOOP: Final = "loop"
    DRIFT: Final = "drift_loop"
    TRUNCATED: Final = "truncated"
    INVENTED: Final = "text_on_blank_page"
    EMPTY: Final = "no_text_found"
    SHORT: Final = "too_short"
    """Far fewer words than the print of a page without a reliable text layer looks like."""
    DISAGREES: Final = "low_agreement"
    GRAMMAR: Final = "broken_markup"
    FROM_TEXT_LAYER: Final = "text_layer_used"
    """The model's text was dropped for that of the layout engine."""
    BLANK: Final = "blank"
    DAMAGED: Final = "damaged_file"
    """Nothing is on the page, and its file had to be mended: what was lost may be the page's."""


DOUBTFUL: Final = frozenset(
    {
        *(Flag.LOOP, Flag.DRIFT, Flag.TRUNCATED, Flag.INVENTED, Flag.EMPTY, Flag.DISAGREES),
        *(Flag.SHORT, Flag.GRAMMAR, Flag.DAMAGED),
        "ocr_missing",  # the layout engine's: a scan, and nothing installed that reads it
    }
)
"""Flags of pages whose text may be wrong or incomplete."""


def doubts(flags: Iterable[str]) -> tuple[str, ...]:
    """The flags that speak against a text; none if its page's text layer was taken instead."""
    found = frozenset(flags)
    return () if Flag.FROM_TEXT_LAYER in found else tuple(sorted(found & DOUBTFUL))
