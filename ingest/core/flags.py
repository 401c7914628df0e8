"""Names of the quality flags of a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["DOUBTFUL", "Flag", "doubts", "flag_list"]


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
    """Text printed across the page was left out; see ``ParsedPage.watermarks``."""
    BLANK: Final = "blank"
    """The page is blank."""
    DAMAGED: Final = "damaged_file"
    """The page is empty and its file had to be repaired: its content may be lost."""
    XFA: Final = "xfa_form"
    """The file is an XFA form: its content is not on the page, which only asks to wait."""
    FORM: Final = "form"
    """The page has fields of a form; marks of boxes to tick, ☒ and ☐, are their states."""
    STRUCK: Final = "struck_out"
    """Words are struck out by an annotation; they stand between ``~~``."""
    OCR: Final = "ocr"
    """At least a part of the text was read from the picture of the page."""
    OCR_DOUBTFUL: Final = "ocr_doubtful"
    """OCR read nonsense, as it does in handwriting."""
    OCR_MISSING: Final = "ocr_missing"
    """The page needs OCR, and RapidOCR is not installed."""
    GARBLED: Final = "text_layer_garbled"
    """A part of the text layer has no readable characters. It was read by OCR or has U+FFFD."""
    REPAIRED: Final = "text_layer_repaired"
    """Signs that stand for a ligature in the text layer were replaced by it: "first" for "ðrst"."""
    SEARCHABLE: Final = "text_layer_invisible"
    """The text is the invisible layer that another program wrote under a scan."""
    ROTATED_90: Final = "rotated_90"
    """The text runs downwards, by a quarter turn clockwise."""
    ROTATED_180: Final = "rotated_180"
    """The text is upside down."""
    ROTATED_270: Final = "rotated_270"
    """The text runs upwards, by a quarter turn counterclockwise."""


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
        Flag.OCR_DOUBTFUL,
        Flag.OCR_MISSING,
        Flag.XFA,
    }
)
"""Flags of pages whose text may be wrong or incomplete."""

_OF_FILES: Final = frozenset({Flag.XFA})
"""Doubts about the file, which hold whatever text of the page was used."""


def doubts(flags: Iterable[str]) -> tuple[str, ...]:
    """The doubtful flags of a page, sorted; few if the text layer replaced the model's text."""
    found = frozenset(flags)
    return tuple(sorted(found & (_OF_FILES if Flag.FROM_TEXT_LAYER in found else DOUBTFUL)))


def flag_list(counts: Mapping[str, int]) -> str:
    """Write how many pages have each flag, the most frequent first: ``ocr 3, text_hidden 1``."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{flag} {number}" for flag, number in ranked)
