"""Whether what a model wrote can be believed, and what to try when it cannot. Pure.

The model fails in known ways: it repeats itself until it is stopped, runs out of tokens,
invents text for an empty page, reads another text than the one there is or next to nothing of
it, or loses its place and with it the form of its markup. Each has a flag; each flag is worth
another try, in another mode and then without layout, and at last the page's own text layer.
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
    "lost",
    "needs_retry",
    "retry_ladder",
]


@dataclass(frozen=True, slots=True)
class Markup:
    """How many markers and table cells an answer has, and how many of them are broken."""

    count: int = 0
    broken: int = 0


def lost(blocks: Sequence[Block], *, mended: bool) -> tuple[str, ...]:
    """The flag of a page that a damaged file may have lost the content of."""
    return (Flag.DAMAGED,) if mended and not blocks else ()


# Dust and scanner edges are below; one short line of small print is 0.1 % of a page.
_BLANK_INK: Final = 0.0004
_FEW_WORDS: Final = 20  # fewer in a text layer may be a stamp on a scan
# A reading with nine of ten words right has fewer than half of eight once in 2,000 times.
_FEWEST_WORDS: Final = 8
_AGREES: Final = 0.5  # share of the layer's words; right readings have 0.9 and more
_INVENTED_WORDS: Final = 3
_NO_MARKUP: Final = Markup()
# Good readings slip in one number at times, but not twice (the small model, 126 pages). A text
# about HTML, or one slip in many markers, is no more than part of the markup of its page.
_FEWEST_BROKEN: Final = 2
_BROKEN: Final = 0.25
# Without a text layer one is enough if it is half of the markup: no good answer of the small model
# to 148 held-out pages has it, and 15 of 96 that read the first row of a page again and again do.
_BROKEN_ALONE: Final = 0.5
# What looks like fewer tokens may be a photograph or a logo (20 at most, see density.py); the
# shared scan with least text looks like 32.
_SOME_PRINT: Final = 25
# Whole readings have 0.19 and more: the text layers of 39 real pages, two of them with unread
# screenshots, and 200 held-out pages. The small model has 0.05 where a page is too dense for it.
_WORDS_PER_TOKEN: Final = 0.125
# 26 of 27 real pages of 200 words and more look like 435 tokens and more. Called a picture as a
# whole, and no word read, such a page is lost; a diagram with as much print holds text, too.
_PAGE_OF_PRINT: Final = 400


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a page without the model.

    ``words`` are those of its text layer; ``ink`` is the share of its area that is printed;
    ``explained`` says that there is no more print on the page than the layer has words for;
    ``tokens`` is how much text the print looks like.
    """

    words: tuple[str, ...] = ()
    ink: float = 1.0
    explained: bool = False
    tokens: int = 0

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing on the page to read."""
        return self.ink < _BLANK_INK

    @property
    def is_reliable(self) -> bool:
        """Whether the text layer holds enough, and not garbage, to compare with."""
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
    """What is wrong with a reading; empty if nothing is known to be.

    Args:
        text: all text of the page's blocks.
        finish_reason: why the decoder stopped.
        drifted: blocks cut because they repeated others.
        evidence: what is known of the page.
        markup: of an answer to a prompt that asks for boxes.
        pictured: of the tokens that its print looks like, those within what was read as pictures.
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


def _is_missing(words: int, tokens: int, pictured: int) -> bool:
    """Whether there is more print beside the pictures, or for no word at all, than was read."""
    left = tokens - pictured
    if left >= _SOME_PRINT and words < _WORDS_PER_TOKEN * left:
        return True
    return not words and tokens >= _PAGE_OF_PRINT


def _is_broken(markup: Markup, *, alone: bool) -> bool:
    """Whether too much is broken, on a page where nothing else speaks for the answer or against."""
    if markup.broken >= max(_FEWEST_BROKEN, _BROKEN * markup.count):
        return True
    return alone and markup.broken > 0 and markup.broken >= _BROKEN_ALONE * markup.count


def agreement(text: str, words: Iterable[str]) -> float:
    """Share of the words, repeats counted, that the text holds; 1 if there are none.

    Case and compatibility forms are ignored; Han, kana and Hangul count letter by letter.
    """
    wanted = Counter(_words(" ".join(words)))
    total = sum(wanted.values())
    return (wanted & Counter(_words(text))).total() / total if total else 1.0


_WORD = re.compile(r"[぀-ヿ㐀-䶿一-鿿가-힣]|[^\W぀-ヿ㐀-䶿一-鿿가-힣]+")


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class Step:
    """One try: at which resolution, with which prompt (see :func:`.prompts.prompt_named`)."""

    mode: Mode
    prompt: str


def retry_ladder(mode: Mode, other: Mode | None, prompt: str) -> tuple[Step, ...]:
    """What to try, in order: as asked, in another mode, then the text without its layout.

    Boxes are what loops most, so the last step asks for text alone.
    """
    steps = [Step(mode, prompt), Step(other or mode, prompt), Step(mode, "free_ocr")]
    return tuple(dict.fromkeys(steps))


def needs_retry(attempts: Sequence[Attempt]) -> bool:
    """Whether the last attempt, if any, was so bad that another could be better."""
    return not attempts or bool(set(attempts[-1].flags) - {Flag.INVENTED})


def best_attempt(attempts: Sequence[Attempt], agreements: Sequence[float]) -> int:
    """Index of the attempt to keep: fewest flags, then nearest to the text layer, then first.

    Args:
        attempts: at least one.
        agreements: of each with the text layer; equal where there is none.
    """
    ranks = [
        (-len(attempt.flags), share, -number)
        for number, (attempt, share) in enumerate(zip(attempts, agreements, strict=True))
    ]
    return ranks.index(max(ranks))
