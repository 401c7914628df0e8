"""Reads the codes of symbol fonts by the published tables of their makers. Pure.

Word writes Symbol and Wingdings with private codes, U+F020 to U+F0FF, and other programs with the
bare codes of the font. Neither means anything without the font.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import Final

__all__ = [
    "SPACE",
    "UNKNOWN",
    "Coding",
    "decoded",
    "is_dingbats",
    "is_symbol",
    "is_symbolic",
    "is_wingdings",
]

SPACE: Final = "\uf020"
"""The private code of a space."""
UNKNOWN: Final = "\ufffd"
"""MuPDF's character for a glyph that no table names."""


class Coding(Enum):
    """The meaning of the characters that MuPDF reports for a symbol font."""

    CODE = "code"
    """The code in the font, with or without U+F000 added."""
    NAME = "name"
    """The number in the glyph's name: MuPDF takes "a73", Zapf Dingbats' square, for "I"."""
    LATIN = "latin"
    """The code in the font, for Symbol with a Latin encoding, which it does not have."""
    NONE = "none"
    """Nothing: the file numbers the glyphs in an order of its own."""


_SYMBOL: Final = dict(
    zip(
        [*range(0x21, 0x7F), *range(0xA0, 0xFF)],
        "!∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλµνοπθρστυϖωξψζ{|}∼"
        "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪\ufffd〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭",
        strict=True,
    )
)
"""Adobe, "Symbol Encoding to Unicode" (symbol.txt). 0xF0 is Apple's logo."""

_WINGDINGS: Final = {
    **dict(zip(range(0x21, 0x30), "🖉✂✁👓🕭🕮🕯🕿✆🖂🖃📪📫📬📭", strict=True)),
    **dict(zip(range(0x30, 0x45), "🗀🗁🗎🗏🗐🗄⌛🖮🖰🖲🖳🖴🖫🖬✇✍🖎✌👌👍👎", strict=True)),
    **dict(zip(range(0x45, 0x5E), "☜☞☝☟🖐☺😐☹💣☠🏳🏱✈☼💧❄🕆✞🕈✠✡☪☯ॐ☸", strict=True)),
    **dict(zip(range(0x5E, 0x6C), "♈♉♊♋♌♍♎♏♐♑♒♓🙰🙵", strict=True)),
    **dict(zip(range(0x6C, 0x7F), "●❍■☐🞐❑❒⬧⧫◆❖⬥☒⮹⌘🏵🏶🙶🙷", strict=True)),
    **dict(zip(range(0x80, 0x96), "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿", strict=True)),
    **dict(zip(range(0x96, 0xA0), "🙢🙠🙡🙣🙞🙜🙝🙟·•", strict=True)),
    **dict(zip(range(0xA0, 0xB0), "⬝⭘🞆🞈🞊🞋🔿▪☐🟂✦★✶✴✹✵", strict=True)),
    **dict(zip(range(0xB0, 0xC3), "⯐⌖⟡⌑⯑✪✰🕐🕑🕒🕓🕔🕕🕖🕗🕘🕙🕚🕛", strict=True)),
    **dict(zip(range(0xC3, 0xD5), "⮰⮱⮲⮳⮴⮵⮶⮷🙪🙫🙕🙔🙗🙖🙐🙑🙒🙓", strict=True)),
    **dict(zip(range(0xD5, 0xDF), "⌫⌦⮘➢⮙⮛⮈⮊⮉⮋", strict=True)),
    **dict(zip(range(0xDF, 0xE7), "←→↑↓↖↗↙↘", strict=True)),
    **dict(zip(range(0xE7, 0xEF), "🡸➔🡹🡻🡼🡽🡿🡾", strict=True)),
    **dict(zip(range(0xEF, 0xF9), "⇦⇨⇧⇩⬄⇳⬁⬀⬃⬂", strict=True)),
    **dict(zip(range(0xFB, 0xFF), "✗✓☒☑", strict=True)),
}
"""Unicode Technical Committee, L2/11-196, "Wingdings and Webdings symbols". Boxes to tick are
written as U+2610 to U+2612, as LibreOffice does."""

_WINGDINGS_2: Final = {
    **dict(zip(range(0x4F, 0x55), "✗✓☒☑☒☒", strict=True)),
    **dict(zip(range(0x69, 0x7F), "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿", strict=True)),
    **dict(zip(range(0x95, 0xA9), "⋅🞄⦁●○🞅🞇🞉⊙⦿🞌🞍◾■☐🞑🞒🞓🞔▣", strict=True)),
}
_WEBDINGS: Final = dict(zip(map(ord, "3456acgnr"), "◀▶▲▼✔☐■●❌", strict=True))
"""The marks, bullets and numbers of two more fonts, from the same document."""

_DINGBATS: Final = {
    **{code: chr(0x2700 + code - 0x20) for code in range(0x21, 0x7F)},
    **{code: chr(0x2761 + code - 0xA1) for code in range(0xA1, 0xA8)},
    **dict(zip(range(0xA8, 0xAC), "♣♦♥♠", strict=True)),
    **{code: chr(0x2460 + code - 0xAC) for code in range(0xAC, 0xB6)},
    **{code: chr(0x2776 + code - 0xB6) for code in range(0xB6, 0xD5)},
    **dict(zip(range(0xD5, 0xD8), "→↔↕", strict=True)),
    **{code: chr(0x2798 + code - 0xD8) for code in range(0xD8, 0xFF) if code != 0xF0},
    **dict(zip((0x25, 0x2A, 0x2B, 0x48, 0x6C, 0x6E), "☎☛☞★●■", strict=True)),
    **dict(zip((0x73, 0x74, 0x75, 0x77), "▲▼◆◗", strict=True)),
}
"""Adobe, "ITC Zapf Dingbats Encoding to Unicode" (zdingbat.txt)."""

_TABLES: Final[dict[str, dict[int, str]]] = {
    "wingdings2": _WINGDINGS_2,
    "wingdings3": {},
    "wingdings": _WINGDINGS,
    "webdings": _WEBDINGS,
}
_ZAPF: Final = ("zapfdingbats", "itczapfdingbats", "dingbats", "d050000l")
_SYMBOLS: Final = ("symbol", "symbolmt", "symbolps", "standardsymbolsl", "standardsymbolsps")
_ICONS: Final = ("awesome", "ico", "material", "glyph", "assets")
"""Parts of the names of icon fonts, which have codes of their own in the same range."""
_IGNORED: Final = str.maketrans("", "", " -_")
_LAST_CONTROL: Final = 0x20

_MARKS: Final = frozenset(
    {0x6C, 0x6E, 0x6F, 0x71, 0x76, 0x78, 0xA7, 0xA8, 0xD8, 0xFB, 0xFC, 0xFD, 0xFE}
)
"""Codes of bullets and boxes in Wingdings. In Symbol they are letters and parts of brackets, which
do not stand alone."""

_DINGBAT_NAMES: Final = dict(
    enumerate(
        "✁✂✄☎✆✝✞✟✠✡☛☞✌✍✎✏✑✒✓✔✕✖✗✘✙✚✛✜✢✣✤✥✦✧★✩✪✫✬✭✮✯✰✱✲✳✴✵✶✷✸✹✺✻✼✽✾✿❀❁❂❃❄❅❆❇❈❉❊❋"
        "●❍■❏❑▲▼◆❖\ufffd◗❘❙❚❯❱❲❳❨❩❬❭❪❫❴❵❛❜❝❞❡❢❣❤✐❥❦❧♠♥♦♣\ufffd\ufffd\ufffd\ufffd✉✈✇①②③④⑤⑥⑦⑧⑨⑩❶❷❸❹❺❻❼❽❾❿➀"
        "➁➂➃➄➅➆➇➈➉➊➋➌➍➎➏➐➑➒➓➔→➣↔↕➙➛➜➝➞➟➠➡➢➤➥➦➧➨➩➫➭➯➲➳➵➸➺➻➼➽➾➚➪➶➹➘➴➷➬➮➱✃❐❒❮❰",
        start=1,
    )
)
"""Adobe, "ITC Zapf Dingbats Glyph List" (zapfdingbats.txt 2.0): the glyphs "a1" to "a206"."""

_ADOBE: Final = {
    **{chr(0xF700 + code): chr(code) for code in (0x21, 0x24, 0x26, *range(0x30, 0x3A), 0x3F)},
    **{chr(0xF700 + code): chr(code) for code in (*range(0x61, 0x7B), 0xA1, 0xA2, 0xBF)},
    **{chr(0xF700 + code): chr(code) for code in range(0xE0, 0x100) if code != 0xF7},
    **dict(zip(map(chr, range(0xF6D9, 0xF6F4)), "©®™1₨—¢¢,,$$--..abdeilmorst", strict=True)),
    **dict(zip(map(chr, range(0xF8E5, 0xF8FF)), "⎯⏐⎯®©™⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪⎮⎞⎟⎠⎤⎥⎦⎫⎬⎭", strict=True)),
}
"""Adobe, "Glyph List" 1.2, corporate use: old-style figures, small capitals, letters above the line
and parts of brackets have private codes. MuPDF reports them for such names of glyphs."""


def decoded(text: str, font: str, coding: Coding = Coding.CODE) -> str:
    """Return the characters of a word that is set in a symbol font.

    Codes of a symbol font that mean nothing become U+FFFD.

    Args:
        text: the word, as MuPDF reports it.
        font: name of the font; a font without a telling name is taken for Symbol, but lone bullets
            and boxes for Wingdings.
        coding: how MuPDF came to the characters of this font.
    """
    if text.isascii() and not is_symbolic(font):
        return text
    name = _plain(font)
    if coding is Coding.NONE:
        return UNKNOWN * len(text)
    if coding is Coding.LATIN:
        return "".join(_SYMBOL.get(ord(c), c) for c in text)
    if coding is Coding.NAME:
        return "".join(_DINGBAT_NAMES.get(ord(c), c) for c in text)
    if (table := _table(name)) is not None:
        return "".join(_meaning(c, table) for c in text)
    if any(map(name.__contains__, _ICONS)):
        return text
    return _symbol(text, name)


@cache
def is_symbolic(font: str) -> bool:
    """Whether a font has symbols instead of letters."""
    return is_dingbats(font) or is_symbol(font) or "dings" in font.casefold()


def is_symbol(font: str) -> bool:
    """Whether a font is Symbol, which has Greek letters and no Latin ones."""
    return _plain(font).partition(",")[0] in _SYMBOLS


def is_wingdings(font: str) -> bool:
    """Whether a font is Wingdings."""
    return _plain(font).startswith("wingdings")


def is_dingbats(font: str) -> bool:
    """Whether a font is Zapf Dingbats or a copy of it; others have glyphs of their own."""
    return _plain(font).startswith(_ZAPF)


def _plain(font: str) -> str:
    return font.rpartition("+")[2].casefold().translate(_IGNORED)


def _table(name: str) -> dict[int, str] | None:
    """Return the table of a font; empty if its codes are unknown, None for other fonts."""
    if name.startswith(_ZAPF):
        return _DINGBATS
    return next((table for prefix, table in _TABLES.items() if name.startswith(prefix)), None)


def _meaning(char: str, table: dict[int, str]) -> str:
    """Return the symbol of a code, and any other character as it is."""
    code = _code(char, bare=True)
    return table.get(code, UNKNOWN) if code > _LAST_CONTROL else char


def _symbol(text: str, name: str) -> str:
    if not any("\uf020" <= c <= "\uf8fe" for c in text):
        return text
    alone = len(text) == 1 and _code(text) in _MARKS and not name.startswith("symbol")
    table = _WINGDINGS if alone else _SYMBOL
    return "".join(table.get(_code(c)) or _ADOBE.get(c, c) for c in text)


def _code(char: str, bare: bool = False) -> int:
    """Return the code in the font, or 0; ``bare`` also takes codes that look like Latin letters."""
    code = ord(char)
    if 0xF020 <= code <= 0xF0FF:
        return code - 0xF000
    return code if bare and code <= 0xFF else 0
