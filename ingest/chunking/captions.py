"""Recognizes captions by how they begin. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["bare", "is_caption", "labels_code", "says_continued"]

_NUMBER: Final = r"\s*(?:\w{0,3}\d+(?:[.\-–]\d+)*[a-z]?|[IVXL]{1,5}(?!\w))"
_FLOAT_LABEL: Final = re.compile(
    r"\W{0,3}(?:table|tab\.|figure|fig\.|chart|exhibit|scheme|abbildung|abb\.|tabelle|tableau|tabla"
    rf"|figura|표|그림|图|表|圖|図){_NUMBER}",
    re.IGNORECASE,
)
_CODE_LABEL: Final = re.compile(
    rf"\W{{0,3}}(?:listing|algorithm|code|algorithmus|algorithme|코드|알고리즘|代码|算法|リスト)"
    rf"{_NUMBER}",
    re.IGNORECASE,
)
_UNNUMBERED: Final = re.compile(r"(?:table|figure)?:\s+\S", re.IGNORECASE)  # pandoc's
_ANCHOR: Final = re.compile(r"<(span|a)\s[^<>]{0,200}>\s*</\1>|\s*\{[#.][^{}\n]{0,200}\}\s*\Z")
_PROSE: Final = re.compile(
    r"\s*[,;]|\s+(?!cont\b|continued|suite\b)[a-zß-öø-ÿа-я]|[은는이가을를에과와의]|[はがにをとで]"
)
"""What follows the number if the text is a sentence: "Table 2 compares", "図2に"."""
_CONTINUED: Final = re.compile(
    r"\b(?:cont(?:inued|inuation|\.|'d)|fortsetzung|continuación)|\bsuite\W*\Z|续|續|続|계속",
    re.IGNORECASE,
)
_LONGEST: Final = 2000  # characters


def is_caption(text: str, *, of_code: bool = False) -> bool:
    """Whether a text beside a table, figure or (``of_code``) listing begins like its caption.

    A sentence that begins with a label ("Table 2 compares") is not a caption.
    """
    if len(text) > _LONGEST:
        return False
    shown = bare(text)
    label = (_CODE_LABEL if of_code else _FLOAT_LABEL).match(shown)
    if label is None:
        return _UNNUMBERED.match(shown) is not None
    return not _PROSE.match(shown, label.end())


def bare(text: str) -> str:
    """Remove link targets from a heading or caption: ``<span id="x"></span>``, ``{#id}``."""
    return _ANCHOR.sub("", text) if "<" in text or "{" in text else text


def labels_code(caption: str) -> bool:
    """Whether a caption belongs to a listing."""
    return _CODE_LABEL.match(caption) is not None


def says_continued(caption: str) -> bool:
    """Whether a caption says that its table continues from the page before."""
    return _CONTINUED.search(caption) is not None
