"""Finds what is wrong with an answer about a stored page, from the answer alone. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

from ..ingest.core.flags import Flag
from ..ingest.core.prompts import Prompt
from ..ingest.core.vision import Transcript
from ..ingest.engines.deepseek_ocr.grounding.markers import WHOLE_PAGE, read_segments
from ..ingest.engines.deepseek_ocr.grounding.transcript import Grounding
from ..ingest.engines.quality.assessment import Evidence, Markup, assess

__all__ = ["NOT_LOCATED", "OTHER_PHRASE", "assess_answer"]

NOT_LOCATED: Final = "not_located"
"""The prompt asks for a phrase, and the answer has no box."""

OTHER_PHRASE: Final = "other_phrase"
"""The prompt asks for a phrase, and a box in the answer is labelled with another one."""


def assess_answer(prompt: Prompt, answer: Transcript, grounding: Grounding) -> tuple[str, ...]:
    """List what is wrong with an answer; ``grounding`` holds its blocks.

    Returns:
        Flags of pages (:class:`opticalrag.ingest.Flag`), :data:`NOT_LOCATED` or
        :data:`OTHER_PHRASE`.
    """
    located = _location_flags(prompt.phrase, answer) if prompt.phrase else ()
    # NOT_LOCATED already reports markers without a box.
    is_judged = prompt.grounded and NOT_LOCATED not in located
    markup = grounding.markup if is_judged else Markup()
    flags = assess(answer.text, answer.finish_reason, grounding.drifted, Evidence(), markup)
    if prompt.phrase:
        return flags + located
    # The engine does not encode blank pages: every page with vision tokens has text.
    return flags if grounding.blocks else (*flags, Flag.EMPTY)


def _location_flags(phrase: str, answer: Transcript) -> tuple[str, ...]:
    segments = read_segments(answer.text, truncated=answer.finish_reason != "eos")
    # read_segments gives the box of the whole page to a marker without a valid box.
    labels = [s.marker.label for s in segments if s.marker and s.marker.box != WHOLE_PAGE]
    if not labels:
        return (NOT_LOCATED,)
    return () if {*map(_normalized, labels)} == {_normalized(phrase)} else (OTHER_PHRASE,)


def _normalized(phrase: str) -> str:
    """The phrase without differences in case, white space and Unicode forms."""
    return " ".join(unicodedata.normalize("NFKC", phrase).casefold().split())
