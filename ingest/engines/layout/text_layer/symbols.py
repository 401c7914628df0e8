"""Reads the codes of symbol fonts by the published tables of their makers. Pure.

Word writes Symbol and Wingdings with private codes, U+F020 to U+F0FF, and other programs with the
bare codes of the font. Neither means anything without the font.
"""

from __future__ import annotations

from typing import Final

__all__ = ["decoded"]

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
    **dict(zip(range(0x9E, 0xA0), "·•", strict=True)),
    **dict(zip(range(0xA0, 0xAF), "⬝⭘🞆🞈🞊🞋🔿▪☐🟂✦★✶✴✹", strict=True)),
    **dict(zip(range(0xD5, 0xDF), "⌫⌦⮘➢⮙⮛⮈⮊⮉⮋", strict=True)),
    **dict(zip(range(0xDF, 0xE7), "←→↑↓↖↗↙↘", strict=True)),
    **dict(zip(range(0xE7, 0xEF), "🡸➔🡹🡻🡼🡽🡿🡾", strict=True)),
    **dict(zip(range(0xEF, 0xF9), "⇦⇨⇧⇩⬄⇳⬁⬀⬃⬂", strict=True)),
    **dict(zip(range(0xFB, 0xFF), "✗✓☒☑", strict=True)),
}
"""Unicode Technical Committee, L2/11-196, "Wingdings and Webdings symbols". Boxes to tick are
written as U+2610 to U+2612, as LibreOffice does."""

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

_MARKS: Final = frozenset(
    {0x6C, 0x6E, 0x6F, 0x71, 0x76, 0x78, 0xA7, 0xA8, 0xD8, 0xFB, 0xFC, 0xFD, 0xFE}
)
"""Codes of bullets and boxes in Wingdings. In Symbol they are letters and parts of brackets, which
do not stand alone."""


def decoded(text: str, font: str) -> str:
    """Return the characters of a word that is set in a symbol font.

    Args:
        text: the word, as its font's codes give it.
        font: name of the font; a font without a telling name is taken for Symbol, but lone bullets
            and boxes for Wingdings.
    """
    name = font.rpartition("+")[2].casefold().replace(" ", "")
    if name.startswith("wingdings") and not name.startswith(("wingdings2", "wingdings3")):
        return "".join(_WINGDINGS.get(_code(c, bare=True), c) for c in text)
    if "dingbats" in name:
        return "".join(_DINGBATS.get(_code(c, bare=True), c) for c in text)
    if not any("\uf020" <= c <= "\uf0ff" for c in text):
        return text
    alone = len(text) == 1 and _code(text) in _MARKS and not name.startswith("symbol")
    table = _WINGDINGS if alone else _SYMBOL
    return "".join(table.get(_code(c), c) for c in text)


def _code(char: str, bare: bool = False) -> int:
    """Return the code in the font, or 0; ``bare`` also takes codes that look like Latin letters."""
    code = ord(char)
    if 0xF020 <= code <= 0xF0FF:
        return code - 0xF000
    return code if bare and code <= 0xFF else 0
