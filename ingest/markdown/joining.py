"""Joins the lines of a paragraph, also across pages: hyphens, spaces or neither. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["SOFT_HYPHEN", "glue", "is_spaceless", "words_of"]

SOFT_HYPHEN: Final = "\u00ad"
_HYPHENS: Final = ("-", "\u2010")
_WORD: Final = re.compile(r"\w+(?:-\w+)*")
_CONJUNCTIONS: Final = frozenset(
    {"and", "or", "und", "oder", "bzw", "sowie", "et", "ou", "y", "o", "e", "en", "of", "och"}
    | {"eller", "og", "i", "oraz", "lub", "a", "nebo"}
)
"""These never complete the word before a hyphen: "Vor- und Nachteile", "pre- and post-war"."""


_PREFIXES: Final = frozenset({"self", "well", "non", "quasi", "half"})
"""Prefixes that usually keep their hyphen and rarely begin another word, before a word of at least
four letters: "self-adjusting", but "selfish". The choice is ours."""
_CLOSED: Final = frozenset({"nonsense", "nonetheless", "nonchalant", "nonpareil"})
_SHORTEST: Final = 4
_NUMERALS: Final = frozenset(
    {"two", "three", "four", "five", "six", "seven", "eight", "nine"}
    | {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}
)
_NUMBERED: Final = re.compile(r"(?!teen|fold|some|score|ties|tieth)\w{3,}")
"""Compounds with a spelled-out number have a hyphen (Chicago Manual of Style, 7.96)."""
_LETTER: Final = re.compile(r"[^\w'’]*[b-df-hj-np-tv-z][-\u2010]", re.I)
"""A single consonant keeps its hyphen, as in "x-ray": it is not a syllable."""
_PARTICIPLE: Final = re.compile(r"based|owned|led|[b-df-hj-np-tv-z]\w*[aeiouy]\w*(?:ed|ing)")
_USUAL: Final = re.compile(
    r"(?:long|short|medium|near)-(?:term|lasting|lived|range|run|standing)"
    r"|(?:high|low)-(?:cost|end|frequency|income|level|pressure|quality|resolution|risk|speed|tech)"
    r"|(?:full|part|real)-time|(?:large|small|full)-scale|third-party|year-end|so-called|vice-\w{4,}"
    r"|cross-(?!beam|fire|hair|over|road|talk|walk|wise|word)\w{4,}"
    r"|(?!inter|over|under)\w{4,}-(?:adjusted|driven|effective|friendly|making|oriented|related"
    r"|reviewed|specific|weighted)"
)
"""Compounds that have a hyphen, at least before a noun (Chicago Manual of Style, 7.96)."""
_FRENCH: Final = re.compile(
    r"(?:est|était|sont|avait|ont|fut|dit|fit|fait|faut|peut|peuvent|doit|doivent|veut|sait|voit"
    r"|vient|serait|aurait|pourrait)-(?:ils?|elles?|on|ce)"
    r"|peut-être|(?:au|par|là)-(?:del[àa]|dessous|dessus|devant|dedans|dehors)|vis-à"
    r"|(?:celui|celle|ceux|celles)-(?:ci|là)|(?:lui|elle|eux|elles|moi|soi|nous)-mêmes?"
    r"|porte-(?:parole|avions?|conteneurs?|monnaie)|rendez-vous|quelques-un(?:e?s)|avant-hier"
    r"|(?:ci|là|sous)-(?:joints?|après|dessous|dessus|contre|préfet|préfecture|sol)"
)
"""French verbs with a pronoun after them, and compounds with a hyphen. Many are no syllables."""
_LONGEST_SUFFIX: Final = 5  # "ening" of "strengthening"; a participle has more letters
_ADVERBS: Final = frozenset({"back", "broad", "down", "high", "over", "through", "under", "with"})
"""A participle after a noun or an adjective has a hyphen: "vendor-focused" (Chicago Manual of
Style, 7.96). After these words it often has none: "underlying"."""

_ADDRESS: Final = re.compile(
    r"[^\w/]*((?:\w+://|www\.|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}/)\S*[-_/=&?%.@]|[\w.+-]+@(?:[\w.-]*[-.])?)"
)
_ADDRESS_GOES_ON: Final = re.compile(
    r"\S*?(?:\w[/._=&?%@]\w|[a-z]\d|\d[A-Za-z]|/|-\w+-\w|\d{2})|(?:com|org|net|edu|gov|io)\b"
)
"""A line that ends in the middle of an address, and one that may begin there."""
_LONGEST: Final = 300  # characters of an address
_MAIL: Final = re.compile(r"[\w.+-]*@\w")
_NAME_CUT: Final = re.compile(r"\W*\w[\w.+-]*[-_]")
_TIGHT_SIGNS: Final = ("/", "\u2013", "\u2014")
_TIGHT: Final = re.compile(r".*\w[\u2013\u2014]|\(?[^\W_]{2,}(?:/[^\W_]+)*/")
"""Join after a slash or a dash that follows a word without a space, except the slash of "w/"."""


def glue(left: str, right: str, known: frozenset[str] = frozenset()) -> tuple[int, str]:
    """Decide how to join two parts of running text at a line or page break.

    A hyphen between lower-case letters is dropped. It stays if a conjunction follows, or if
    ``known`` (words of the document in lower case) has the compound, or both parts as separate
    words. Scripts without spaces are joined without a space.

    Returns:
        How many characters to drop from the end of ``left``, and the text to insert.
    """
    if left.endswith(SOFT_HYPHEN):
        return 1, ""
    if _is_cut_address(left, right):
        return 0, ""
    if left.endswith(_HYPHENS) and left[-2:-1].isalnum() and right[:1].isalnum():
        return _hyphenated(left, right, known)
    if left.endswith(_TIGHT_SIGNS) and right[:1].isalnum() and _TIGHT.fullmatch(_last_word(left)):
        return 0, ""
    if is_spaceless(left[-1:]) and is_spaceless(right[:1]):
        return 0, ""
    return 0, " "


def _is_cut_address(left: str, right: str) -> bool:
    last = _last_word(left)
    if not right[:1].isalnum():
        return False
    if _NAME_CUT.fullmatch(last) and _MAIL.match(right):
        return True
    if not _ADDRESS.fullmatch(last):
        return False
    # A whole address may end in a slash or a full stop, but not in a hyphen.
    return last[-1] in "-_=&?%@" or bool(_ADDRESS_GOES_ON.match(right))


def _last_word(text: str) -> str:
    """Return the last word of a text that may be long."""
    tail = text[-_LONGEST:]
    return tail.rsplit(maxsplit=1)[-1] if tail.strip() else ""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; a hyphenated compound is one word."""
    return [word.lower() for word in _WORD.findall(text)]


def is_spaceless(char: str) -> bool:
    """Whether a script has no spaces between words. Korean has, but its lines break in words."""
    code = ord(char) if char else 0
    return (
        0x0E00 <= code <= 0x0EFF  # Thai, Lao
        or 0x2E80 <= code <= 0x30FF  # radicals, punctuation, kana
        or 0x31F0 <= code <= 0x9FFF  # Han
        or 0xF900 <= code <= 0xFAFF
        or 0xFF01 <= code <= 0xFF60  # full-width forms
        or 0x20000 <= code <= 0x3FFFF
    )


def _hyphenated(left: str, right: str, known: frozenset[str]) -> tuple[int, str]:
    first = re.split(r"[^\w-]", _last_word(left)[:-1])[-1].lower()
    rest = re.split(r"[^\w-]", right, maxsplit=1)[0].lower()
    if rest in _CONJUNCTIONS and first + rest not in known:
        return 0, " "
    is_compound = (
        "-" in first
        or f"{first}-{rest}" in known
        or (
            first + rest not in known
            and (bool(_LETTER.fullmatch(_last_word(left))) or _is_compound(first, rest, known))
        )
    )
    small = left[-2].islower() and right[0].islower()
    return (0, "") if is_compound or not small else (1, "")


def _is_compound(first: str, rest: str, known: frozenset[str]) -> bool:
    """Whether two parts form a compound that keeps its hyphen, as the language tells."""
    compound = f"{first}-{rest}"
    if _USUAL.fullmatch(compound) or _FRENCH.fullmatch(compound):
        return True
    if first in _NUMERALS:
        return bool(_NUMBERED.fullmatch(rest))
    if first in _PREFIXES:
        return len(rest) >= _SHORTEST and first + rest not in _CLOSED
    if first in known and len(first) >= _SHORTEST and first not in _ADVERBS:
        is_long = len(rest) > _LONGEST_SUFFIX or rest in ("based", "owned", "led")
        if is_long and _PARTICIPLE.fullmatch(rest):
            return True
    return first in known and rest in known
