"""Assesses the answer of a model, and plans the next attempt after a bad answer. Pure.

The model fails in known ways. It repeats itself until it is stopped, runs out of tokens, invents
text for an empty page, writes text that is not on the page, reads only a small part of it, or
breaks its own markup. Each failure has a flag. A flagged page is read again in another mode, then
without layout; at last its text layer is used.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ...core.flags import Flag
from ...core.modes import Mode
from ...core.records import Attempt, Block
from .garbling import is_garbled, is_spelt

__all__ = [
    "Evidence",
    "Markup",
    "Step",
    "agreement",
    "assess",
    "best_attempt",
    "flag_damage",
    "needs_retry",
    "retry_ladder",
]

# Share of a page that is ink. Dust and scanner edges stay below; one short line of small print is
# 0.001.
_BLANK_INK: Final = 0.0004
_FEW_WORDS: Final = 20  # a text layer with fewer words may be a stamp on a scan
# With fewer words, chance decides: a reading with nine of ten words right has fewer than half of
# eight words right once in 2,000 times.
_FEWEST_WORDS: Final = 8
_AGREES: Final = 0.5  # share of the text layer's words; right readings have 0.9 or more
_INVENTED_WORDS: Final = 3
# A good reading may have one wrong number, but not two (the small model, 126 pages). A text about
# HTML, or one wrong marker among many, breaks only a small part of the markup.
_FEWEST_BROKEN: Final = 2
_BROKEN: Final = 0.25
# Without a text layer, one broken marker is enough if it is half of the markup. No good answer of
# the small model to 148 held-out pages has that many; 15 of 96 answers that repeat the first row of
# a page do.
_BROKEN_ALONE: Final = 0.5
# A photograph or a logo looks like 20 tokens at most (see density.py). The shared scan with the
# least text looks like 32.
_SOME_PRINT: Final = 25
# Complete readings have 0.19 words per estimated token or more: the text layers of 39 real pages,
# two of them with unread screenshots, and 200 held-out pages. The small model has 0.05 on pages
# that are too dense for it.
_WORDS_PER_TOKEN: Final = 0.125
# Of 27 real pages with 200 words or more, 26 look like 435 tokens or more. An answer that calls
# such a page one picture, without a word, loses its text. Diagrams with as much print hold text
# too.
_PAGE_OF_PRINT: Final = 400


@dataclass(frozen=True, slots=True)
class Markup:
    """Number of markers and table cells in an answer, and how many of them are broken."""

    count: int = 0
    broken: int = 0


_NO_MARKUP: Final = Markup()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts about a page that do not come from the model.

    Attributes:
        words: words of the text layer.
        ink: share of the page that is ink.
        explained: the words of the text layer account for all print on the page.
        tokens: text tokens on the page, estimated from its print.
    """

    words: tuple[str, ...] = ()
    ink: float = 1.0
    explained: bool = False
    tokens: int = 0

    @property
    def is_blank(self) -> bool:
        """Whether the page has nothing to read."""
        return self.ink < _BLANK_INK

    @property
    def is_reliable(self) -> bool:
        """Whether the text layer is long enough, and not garbled, to check answers against."""
        text = " ".join(self.words)
        if len(self.words) >= _FEW_WORDS:
            return not is_garbled(text)
        return self.explained and len(self.words) >= _FEWEST_WORDS and is_spelt(text)


def assess(
    text: str,
    finish_reason: str,
    drifted: int,
    evidence: Evidence,
    markup: Markup = _NO_MARKUP,
    pictured: int = 0,
) -> tuple[str, ...]:
    """Return the flags of an answer; none if no fault is found.

    Args:
        text: all text of the page's blocks.
        finish_reason: why the decoder stopped.
        drifted: number of blocks that were cut because they repeated others.
        evidence: facts about the page.
        markup: markup of the answer, if the prompt asks for boxes.
        pictured: the part of ``evidence.tokens`` inside regions that the answer calls pictures.
    """
    words = _words(text)
    reliable = evidence.is_reliable
    missing = not reliable and _is_missing(len(words), evidence.tokens, pictured)
    found = {
        Flag.LOOP: finish_reason == "loop" and not drifted,
        Flag.DRIFT: drifted > 0,
        Flag.TRUNCATED: finish_reason == "length",
        Flag.INVENTED: evidence.is_blank and len(words) >= _INVENTED_WORDS,
        Flag.EMPTY: (reliable or missing) and not words,
        Flag.SHORT: missing and bool(words),
        Flag.DISAGREES: reliable and bool(words) and agreement(text, evidence.words) < _AGREES,
        Flag.GRAMMAR: _is_broken(markup, alone=not reliable),
    }
    return tuple(flag for flag, holds in found.items() if holds)


def flag_damage(
    blocks: Sequence[Block], *, mended: bool, placeholder: bool = False
) -> tuple[str, ...]:
    """Flag a page whose content is lost, or elsewhere.

    An empty page of a repaired file may have lost it to the damage; an XFA form has it in another
    part of the file (``placeholder``).
    """
    lost = (Flag.DAMAGED,) if mended and not blocks else ()
    return (*lost, Flag.XFA) if placeholder else lost


def _is_missing(words: int, tokens: int, pictured: int) -> bool:
    """Whether print outside the pictures, or a page full of print, was not read."""
    left = tokens - pictured
    if left >= _SOME_PRINT and words < _WORDS_PER_TOKEN * left:
        return True
    return not words and tokens >= _PAGE_OF_PRINT


def _is_broken(markup: Markup, *, alone: bool) -> bool:
    """Whether too much is broken; ``alone`` if no reliable text layer can confirm the answer."""
    if markup.broken >= max(_FEWEST_BROKEN, _BROKEN * markup.count):
        return True
    return alone and markup.broken > 0 and markup.broken >= _BROKEN_ALONE * markup.count


def agreement(text: str, words: Iterable[str]) -> float:
    """Return the share of the words, repeats included, that the text contains; 1 without words.

    Case and compatibility forms are ignored. In Han, kana and Hangul, each character counts as a
    word.
    """
    wanted = Counter(_words(" ".join(words)))
    total = sum(wanted.values())
    return (wanted & Counter(_words(text))).total() / total if total else 1.0


_WORD = re.compile(r"[぀-ヿ㐀-䶿一-鿿가-힣]|[^\W぀-ヿ㐀-䶿一-鿿가-힣]+")


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class Step:
    """A planned attempt: a resolution and a prompt (see :func:`.prompts.prompt_named`)."""

    mode: Mode
    prompt: str


def retry_ladder(mode: Mode, other: Mode | None, prompt: str) -> tuple[Step, ...]:
    """Plan the attempts at a page: as configured, in another mode, then as text without layout.

    The last step asks for text alone because most loops are loops of boxes.
    """
    steps = [Step(mode, prompt), Step(other or mode, prompt), Step(mode, "free_ocr")]
    return tuple(dict.fromkeys(steps))


def needs_retry(attempts: Sequence[Attempt]) -> bool:
    """Whether there is no attempt yet, or another one could be better than the last."""
    return not attempts or bool(set(attempts[-1].flags) - {Flag.INVENTED})


def best_attempt(attempts: Sequence[Attempt], agreements: Sequence[float]) -> int:
    """Return the index of the best attempt: fewest flags, then best agreement, then the first.

    Args:
        attempts: at least one.
        agreements: agreement of each with the text layer; equal if there is no text layer.
    """
    ranks = [(-len(a.flags), share) for a, share in zip(attempts, agreements, strict=True)]
    return ranks.index(max(ranks))
