"""What speaks against an answer about a stored page, which nobody can look at. Pure.

There is no picture and no text layer to compare with: the answer itself is all the evidence.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from ..ingest.core.flags import Flag
from ..ingest.core.prompts import Prompt
from ..ingest.core.vision import Transcript
from ..ingest.engines.deepseek_ocr.grounding.markers import WHOLE_PAGE, read_segments
from ..ingest.engines.deepseek_ocr.grounding.transcript import Grounding
from ..ingest.engines.quality.assessment import Evidence, Markup, assess

__all__ = ["NOT_LOCATED", "OTHER_PHRASE", "answer_flags"]

NOT_LOCATED: Final = "not_located"
"""A phrase was asked for, and the answer names no place."""

OTHER_PHRASE: Final = "other_phrase"
"""A phrase was asked for, and a place in the answer is of another one."""


def answer_flags(prompt: Prompt, answer: Transcript, grounding: Grounding) -> tuple[str, ...]:
    """Flags as those of pages, and what can be wrong with an answer to a question.

    Args:
        prompt: the question.
        answer: what the model wrote.
        grounding: how that is read.

    Returns:
        What is wrong with it; empty if nothing is known to be.
    """
    located = _location_flags(prompt.phrase, answer) if prompt.phrase else ()
    # That nothing was located says all of markers without a place.
    is_judged = prompt.grounded and NOT_LOCATED not in located
    markup = grounding.markup if is_judged else Markup()
    flags = assess(answer.text, answer.finish_reason, grounding.drifted, Evidence(), markup)
    if prompt.phrase:
        return flags + located
    # Pages without print have no vision tokens: the engine does not encode them.
    return flags if grounding.blocks else (*flags, Flag.EMPTY)


def _location_flags(phrase: str, answer: Transcript) -> tuple[str, ...]:
    segments = read_segments(answer.text, truncated=answer.finish_reason != "eos")
    # A marker without a valid box is read as one of the whole page, which is no place on it.
    placed = [s.marker.label for s in segments if s.marker and s.marker.box != WHOLE_PAGE]
    if not placed:
        return (NOT_LOCATED,)
    return () if {*map(_as_read, placed)} == {_as_read(phrase)} else (OTHER_PHRASE,)


def _as_read(phrase: str) -> str:
    """A phrase as people compare it: case, white space and forms of letters do not count."""
    return " ".join(unicodedata.normalize("NFKC", phrase).casefold().split())
