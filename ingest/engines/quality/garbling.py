"""Detects noise in text, as fonts without a usable encoding or bad OCR produce it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = [
    "BAD_SHARE",
    "is_garbled",
    "is_nonsense",
    "is_spelt",
    "is_undecodable",
    "is_unknown",
    "is_wordless",
]

BAD_SHARE: Final = 0.10
"""pymupdf4llm's BAD_CHAR_THRESHOLD, above which its trained decision asks for OCR."""

_CID = re.compile(r"\(cid:\d+\)")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ]{4,}")
_VOWEL = re.compile(r"[aeiouyAEIOUYÀ-ɏḀ-ỿ]")
_MIN_WORDS: Final = 20
_MIN_VOWELED: Final = 0.5
"""Share of Latin words of four or more letters with a vowel. It is above 0.97 in English, in Polish
and in text full of acronyms, and below 0.4 under a shifted encoding."""
_FEWEST_WORDS: Final = 4
_NEARLY_ALL: Final = 0.9  # four words reach this under a shifted encoding once in 40 times at most
_TOKEN = re.compile(r"[^\W_]+")
_SMALL = re.compile(r"[a-zà-ɏḀ-ỿ]")
_NOT_LATIN = re.compile(r"[^\W\dA-Za-zª-ɏḀ-ỿ]")
_MIXED = re.compile(
    r"[a-zà-ɏ]\d+[a-zà-ɏ]|[a-zà-ɏ][A-ZÀ-Þ]+[a-zà-ɏ]*[A-ZÀ-Þ]|^\d+[a-zà-ɏ]{2,}\d|^[a-zà-ɏ]+[A-ZÀ-Þ]"
)
_CAMEL = re.compile(r"[a-zà-ɏ]*(?:[A-ZÀ-Þ][a-zà-ɏ]{2,})+|[a-z]{1,2}[A-Z]{1,3}[a-z]?")
"""Names such as "YouTube" and units such as "kWh"."""
_CODE = re.compile(r"[_(){}\[\]=<>/\\:;+*&#|@]")
_SHORT: Final = frozenset(
    {"bldg", "blvd", "bln", "bps", "ctrl", "dept", "dst", "fmt", "hrs", "ltd", "mgmt", "mln", "mph"}
    | {"mrs", "mth", "mths", "pcs", "pct", "pkg", "ppm", "pvt", "qtr", "qtrs", "qty", "rpm", "src"}
    | {"std", "str", "thd", "tmp", "tsd", "wks", "www", "yrs", "dev", "ctx"}
)
"""Abbreviations without a vowel that stand without a full stop."""
_MIN_READ: Final = 8
_ODD: Final = 0.25
"""Share of odd words. Of 826 pages with a text layer, none reaches 0.15."""
# Bullets of Symbol and Wingdings. Their codes are private, but widely used.
_ICON_FONT: Final = frozenset("\uf0b7\uf0a7\uf0d8\uf0fc\uf076\uf06e\uf0a8\uf071")


def is_garbled(text: str) -> bool:
    """Whether text is noise: undecodable codes, or letters that do not form words."""
    return is_undecodable(text) or is_wordless(text)


def is_undecodable(text: str) -> bool:
    """Whether more than a tenth of the characters have no meaning outside their font."""
    solid = "".join(_CID.sub("\ufffd", text).split())
    return bool(solid) and sum(map(is_unknown, solid)) / len(solid) > BAD_SHARE


def is_wordless(text: str) -> bool:
    """Whether most longer Latin words lack a vowel. Always False for other scripts."""
    words = _LATIN_WORD.findall(text)
    return len(words) >= _MIN_WORDS and _voweled(words) < _MIN_VOWELED


def is_spelt(text: str) -> bool:
    """Whether text is certainly not noise, even if short: Latin words, nearly all with vowels."""
    words = _LATIN_WORD.findall(text)
    if len(words) < _FEWEST_WORDS or is_undecodable(text):
        return False
    return _voweled(words) >= _NEARLY_ALL


def is_nonsense(lines: Sequence[str]) -> bool:
    """Whether OCR read nonsense, for example handwriting as print.

    Counts words that no language writes: small letters mixed with digits or with capitals in the
    middle, or three or more letters without a vowel. Figures, capitals, code, abbreviations and
    other scripts do not count.
    """
    parts = [p for line in lines for p in line.split() if not _CODE.search(p.strip("()[]:;"))]
    tokens = [(w, p) for p in parts for w in _TOKEN.findall(p) if not w.isdigit()]
    words = [(w, p) for w, p in tokens if _SMALL.search(w)]
    others = sum(bool(_NOT_LATIN.match(w)) for w, _ in tokens)
    if len(words) < _MIN_READ or others > len(words):
        return False
    return sum(_is_odd(word, part) for word, part in words) >= _ODD * len(words)


def _is_odd(word: str, part: str) -> bool:
    if _CAMEL.fullmatch(word) or word.casefold() in _SHORT:
        return False
    is_abbreviation = f"{word}." in part
    return bool(_MIXED.search(word)) or (not is_abbreviation and _lacks_vowel(word))


def _lacks_vowel(word: str) -> bool:
    return (
        len(word) > 2
        and word.isalpha()
        and word[0] < "\u0250"
        and not word.isupper()
        and not _VOWEL.search(word)
    )


def _voweled(words: Sequence[str]) -> float:
    return sum(bool(_VOWEL.search(word)) for word in words) / len(words)


def is_unknown(char: str) -> bool:
    """Whether a character has no meaning outside its font."""
    # Co private use, Cn unassigned, Cs lone surrogates, Cc control characters
    return char == "\ufffd" or (
        unicodedata.category(char) in ("Co", "Cn", "Cs", "Cc") and char not in _ICON_FONT
    )
