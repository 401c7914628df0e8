"""Finds letters of a text layer that stand for a ligature: "ðrst" for "first". Pure.

A font whose table of characters is wrong gives "ð" or an arrow for each "fi". The words tell: a
sign that turns several of them into words of the language, always by the same ligature, is one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from ...quality.garbling import is_unknown
from .ligature_words import FREQUENT
from .words import LayoutWord, whole_words

__all__ = ["misspelt", "repaired"]

_LIGATURES: Final = ("fi", "fl", "ff", "ffi", "ffl", "ti", "tt", "tti", "ft", "Th")
_FEWEST: Final = 2  # different words; a single one may be a name
_SURE: Final = 0.6  # share of the words with the sign that become words of the language
_MANY: Final = 5  # different words that are enough for a smaller share
_LEAST: Final = 0.2  # this share
_TELLING: Final = 5  # letters of the word; “ve and #re become "five" and "fire"
_FOREIGN = re.compile(r"(?<![^\Wa-zA-Z])[A-Za-z]?([^\W\d_a-zA-Z]|[^\w\s.,;:'’\-/])[a-z]+")
_PLAIN = re.compile(r"[^\W\d_]{3,}")
_INSIDE = re.compile(r"[a-zß-öø-ÿ]([^\x00-\x7f])[a-zß-öø-ÿ]")
_ODD: Final = frozenset({"So", "Sc", "Lu"})  # Unicode categories: symbols, capitals
_ODD_SIGNS: Final = frozenset("¿¡§¶ªº")
_ODD_WORDS: Final = 3  # different words; fewer are brands and formulas


def repaired(words: Sequence[LayoutWord]) -> tuple[tuple[LayoutWord, ...], bool]:
    """Replace signs that stand for ligatures. Returns the words, and whether any has changed."""
    groups = whole_words(words)
    texts = ["".join(part.text for part in parts) for parts in groups]
    seen = _signs(texts)
    if not seen:
        return tuple(words), False
    evidence = FREQUENT | {t for x in texts for t in _PLAIN.findall(x.casefold())}
    meaning: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sign, around in seen.items():
        for text, ligature in _ligatures(sign, around, texts, evidence).items():
            meaning[text].append((sign, ligature))
    for text, pair in _lone(seen, bool(meaning)):
        meaning[text] = meaning[text] or [pair]
    changed: list[LayoutWord] = []
    for parts, text in zip(groups, texts, strict=True):
        changed += [_spelt_out(part, meaning.get(text, ())) for part in parts]
    return tuple(changed), bool(meaning)


def misspelt(words: Sequence[LayoutWord]) -> frozenset[LayoutWord]:
    """Return the words with a sign that no language writes inside a word: "di↵érent".

    The sign stands for something that only the picture of the page shows. In a line with as many
    of them as words in plain letters, the whole font is misspelt.
    """
    if all(word.text.isascii() for word in words):
        return frozenset()
    wrong = {w.text for w in words if any(_is_odd(m[1]) for m in _INSIDE.finditer(w.text))}
    if len(wrong) < _ODD_WORDS:
        return frozenset()
    signs = {c for text in wrong for c in text if not c.isascii()}
    wrong |= {w.text for w in words if 2 * sum(map(signs.__contains__, w.text)) > len(w.text) > 1}
    balance = Counter[int]()
    for word in words:
        balance[word.line] += (word.text in wrong) - word.text.isascii()
    lines = {w.line for w in words if w.text in wrong and balance[w.line] >= 0}
    return frozenset(
        w
        for w in words
        if w.text in wrong or (w.line in lines and (len(w.text) > 1 or w.text.isalpha()))
    )


def _is_odd(sign: str) -> bool:
    return sign != "°" and (unicodedata.category(sign) in _ODD or sign in _ODD_SIGNS)


def _lone(seen: dict[str, set[str]], ill: bool) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield words that a ligature makes frequent ones, though their sign is rare.

    On an ``ill`` page, other signs stand for ligatures; else the sign must be a symbol.
    """
    for sign, around in seen.items():
        if not ill and (is_unknown(sign) or unicodedata.category(sign) not in ("So", "Sm")):
            continue
        inside = {text for text in around if sign.isalpha() or not text.startswith(sign)}
        for text, found in _fits(sign, inside, FREQUENT).items():
            for ligature, length in found.items():
                if length >= _TELLING:
                    yield text, (sign, ligature)


def _spelt_out(word: LayoutWord, signs: Sequence[tuple[str, str]]) -> LayoutWord:
    text = word.text
    for sign, ligature in signs:
        text = text.replace(sign, ligature)
    return replace(word, text=text) if signs else word


def _signs(texts: Iterable[str]) -> dict[str, set[str]]:
    """Find signs inside words of Latin letters, each with these words."""
    found: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        for match in _FOREIGN.finditer(text):
            found[match[1]].add(text)
    return found


def _ligatures(
    sign: str, seen: set[str], texts: Sequence[str], evidence: frozenset[str]
) -> dict[str, str]:
    """Return the ligature of each word with a sign; nothing if the sign may stand for itself.

    A word takes the ligature that makes it a word, or else the most frequent one.
    """
    fits = _fits(sign, seen, evidence)
    fitting = [found for found in fits.values() if found]
    telling = sum(max(found.values()) >= _TELLING for found in fitting)
    if telling < _FEWEST or len(fitting) < (_LEAST if telling >= _MANY else _SURE) * len(seen):
        return {}
    usual = Counter(x for found in fitting for x in found).most_common(1)[0][0]
    at_the_end = _fits(sign, {t for t in texts if sign in t[2:]} - seen, evidence)
    fits |= {word: found for word, found in at_the_end.items() if found}
    return {
        word: usual if usual in found or not found else next(iter(found))
        for word, found in fits.items()
    }


def _fits(sign: str, around: Iterable[str], evidence: frozenset[str]) -> dict[str, dict[str, int]]:
    """Return the ligatures that make each text a word of the language, and how long the word is."""
    return {text: dict(_words_with(text, sign, evidence)) for text in around}


def _words_with(text: str, sign: str, evidence: frozenset[str]) -> Iterator[tuple[str, int]]:
    runs = [r for r in re.findall(rf"(?:[^\W\d_]|{re.escape(sign)})+", text) if sign in r]
    for ligature in _LIGATURES:
        words = (run.replace(sign, ligature).casefold() for run in runs)
        if known := [len(word) for word in words if word in evidence]:
            yield ligature, max(known)
