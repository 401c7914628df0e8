from __future__ import annotations

from opticalrag.ingest.core.flags import DOUBTFUL, Flag, doubts, flag_list

NAMES = {value for name, value in vars(Flag).items() if name.isupper()}


def test_every_doubtful_flag_is_a_flag() -> None:
    """Doubts are members, each with a name of its own."""
    assert DOUBTFUL <= NAMES
    assert len(NAMES) == sum(name.isupper() for name in vars(Flag))


def test_flags_that_cast_no_doubt_are_not_doubts() -> None:
    """OCR alone does not cast doubt. A text layer that replaces the answer removes all doubts."""
    assert doubts((Flag.OCR, Flag.OCR_MISSING, Flag.HIDDEN)) == (Flag.OCR_MISSING,)
    assert doubts((Flag.LOOP, Flag.FROM_TEXT_LAYER)) == ()


def test_counts_are_listed_by_frequency() -> None:
    """The order is the same for equal counts."""
    assert flag_list({"text_hidden": 1, "ocr": 3, "blank": 1}) == "ocr 3, blank 1, text_hidden 1"
