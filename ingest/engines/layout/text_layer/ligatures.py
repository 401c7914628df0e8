"""Finds letters of a text layer that stand for a ligature: "ðrst" for "first". Pure.

A font whose table of characters is wrong gives "ð" or an arrow for each "fi". The words tell: a
sign that turns several of them into words of the language, always by the same ligature, is one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from .words import LayoutWord, whole_words

__all__ = ["repaired"]

_LIGATURES: Final = ("fi", "fl", "ff", "ffi", "ffl", "ti", "tt", "tti", "ft", "Th")
_FEWEST: Final = 2  # different words; a single one may be a name
_SURE: Final = 0.6  # share of the words with the sign that become words of the language
_MANY: Final = 5  # different words that are enough, whatever their share
_TELLING: Final = 4  # characters; “ve and #re become "five" and "fire"
_FOREIGN = re.compile(r"(?<![^\Wa-zA-Z])[A-Za-z]?([^\W\d_a-zA-Z]|[^\w\s.,;:'’\-/])[a-z]+")
_PLAIN = re.compile(r"[a-z]{3,}")
_WORDS: Final = """
affairs affect affected affects affiliate affiliates affirm affirmed afford affordable
artificial beneficial benefit benefits briefly certificate certificates certified classification
classified coefficient coefficients confidence confidential configuration confirm confirmed
conflict conflicting conflicts deficiency deficit define defined definition differ difference
differences different differential differently difficult difficulties difficulty diffuse
diffusion effect effective effectively effectiveness effects efficiency efficient effluent
effort efforts fiction field fields fifth fifty fight figure figures file filed files filing
fill filled final finally finance finances financial financing find finding findings finds fine
finish finished fire firm firms first fiscal fish fit five fixed flag flat fleet flexibility
flexible flight float floor flow flows fluctuations fluid fly identification identified
indefinite infinite infinity inflation influence insufficient justified magnificent modification
modified notification notified off offer offered offering offers office officer officers offices
official officially officials offline offset offshore offspring profile profit profitable
profits qualified refine reflect reflected reflects satisfied scientific significance
significant significantly sniff specific specifically specification specifications specified
staff stiff sufficient sufficiently suffix tariff tariffs traffic unified verified waffle
workflow
action actions active activities activity additional application applications articles attention
communication competition competitive condition conditions construction continue continued
continuing corporation critical definition description education effective entire entities entity
existing function functions identity information institution institutions international
investigation legislation limitations located location meeting meetings motion multiple national
nation negative notice obligations operating operation operational operations option options
organization participants particular particularly partial parties parting partners patient
patients percentage policies political population position positive practice production protection
question questions quantities quantity ratio regulation regulations relations relationship
satisfaction section sections situation solution statistical testing time times title traditional
transaction transactions transition translation estimated estimates routine sentiment certification
attach attached attack attempt attend attended attract attribute battery better bottom butter
button committed committee getting letter letters little matter matters patterns pretty putting
quarterly settings setting settle settlement submitted shutter twitter written cutting sitting
after afternoon afterwards craft crafted draft drafted drift drifting fifteen gift left lift loft
often shift shifts soft software swift theft
than that the their them then there therefore these they thing things think third this those
though three through thus
"""
"""Frequent English words with one of the ligatures. A page's own words are evidence, too."""


def repaired(words: Sequence[LayoutWord]) -> tuple[tuple[LayoutWord, ...], bool]:
    """Return the words with ligatures in lieu of signs that stand for them, and whether any was."""
    groups = whole_words(words)
    texts = ["".join(part.text for part in parts) for parts in groups]
    seen = _signs(texts)
    if not seen:
        return tuple(words), False
    evidence = frozenset(_WORDS.split()) | {t for x in texts for t in _PLAIN.findall(x.casefold())}
    meaning: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sign, around in seen.items():
        for text, ligature in _ligatures(sign, around, texts, evidence).items():
            meaning[text].append((sign, ligature))
    changed: list[LayoutWord] = []
    for parts, text in zip(groups, texts, strict=True):
        changed += [_spelt_out(part, meaning.get(text, ())) for part in parts]
    return tuple(changed), bool(meaning)


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
    return {sign: around for sign, around in found.items() if len(around) >= _FEWEST}


def _ligatures(
    sign: str, seen: set[str], texts: Sequence[str], evidence: frozenset[str]
) -> dict[str, str]:
    """Return the ligature of each word with a sign; nothing if the sign may stand for itself.

    A word takes the ligature that makes it a word, or else the most frequent one.
    """
    fits = _fits(sign, seen, evidence)
    fitting = [word for word, found in fits.items() if found]
    telling = sum(len(word) >= _TELLING for word in fitting)
    if telling < _FEWEST or (telling < _MANY and len(fitting) < _SURE * len(seen)):
        return {}
    usual = Counter(x for found in fits.values() for x in found).most_common(1)[0][0]
    at_the_end = _fits(sign, {t for t in texts if sign in t[2:]} - seen, evidence)
    fits |= {word: found for word, found in at_the_end.items() if found}
    return {
        word: usual if usual in found or not found else found[0] for word, found in fits.items()
    }


def _fits(sign: str, around: set[str], evidence: frozenset[str]) -> dict[str, list[str]]:
    """Return the ligatures that make each word a word of the language."""
    return {w: [x for x in _LIGATURES if _is_word(w, sign, x, evidence)] for w in around}


def _is_word(text: str, sign: str, ligature: str, evidence: frozenset[str]) -> bool:
    parts = _PLAIN.findall(text.replace(sign, ligature).casefold())
    return any(ligature.casefold() in part and part in evidence for part in parts)
