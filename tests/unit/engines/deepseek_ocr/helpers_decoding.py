"""Slot plans, and the parts of an answer that tests compare."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from benchmarks.decoding.exactness import Case
from opticalrag.ingest.core.errors import OpticalRagError
from opticalrag.ingest.core.vision import Transcript
from opticalrag.ingest.engines.deepseek_ocr.decoder.plan import DecodePlan, SlotClass

__all__ = ["CONTEXT", "PAGES", "answers", "expected", "one_thread", "plan_of"]

# 200 pages take a minute, mostly in ``generate``. Fewer are enough to find a fault.
PAGES = int(os.environ.get("OPTICALRAG_EXACT_PAGES", "24"))
CONTEXT = 2048


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: for so small a network, synchronizing threads costs more than it gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plan_of(slots: int, guesses: int = 0, lag: int = 0, short: int = 112) -> DecodePlan:
    """Plan short slots that most pages outgrow, and one long slot per three short ones."""
    long = SlotClass(-(-slots // 3), CONTEXT + guesses)
    return DecodePlan((SlotClass(slots, short), long), guesses, 0.0, lag, prefill_tokens=300)


def answers(found: Sequence[Transcript | OpticalRagError]) -> list[tuple[tuple[int, ...], str]]:
    """Ids and finish reasons. Fails if an answer is an error."""
    transcripts = [answer for answer in found if isinstance(answer, Transcript)]
    assert len(transcripts) == len(found)
    return [(t.ids, t.finish_reason) for t in transcripts]


def expected(cases: Sequence[Case]) -> list[tuple[tuple[int, ...], str]]:
    """The same from the reference."""
    return [(case.answer.ids, case.answer.reason) for case in cases]
