"""Restores the model's own notation in answers that servers and scripts have changed. Pure.

A server may drop the special tokens, a chat program may put a fence around the answer, and the
published script for PDFs writes the answers of all pages into one file.
"""

from __future__ import annotations

import re
from typing import Final

from .markers import KINDS

__all__ = ["as_written", "split_pages"]

_SPLIT: Final = re.compile(r"^[ \t]*<-{2,5} ?Page Split ?-{2,5}>[ \t]*$", re.MULTILINE)
"""The line that the published script for PDFs writes after each page."""
_SPECIALS: Final = r"(?:\s|\ufeff|<｜[^<>｜\n]{1,40}｜>)*"
_BEGINNING: Final = re.compile(r"\A\s*(?:<｜[^<>｜\n]{1,40}｜>\s*)+")
_FENCED: Final = re.compile(
    rf"\A{_SPECIALS}(?P<fence>`{{3,}}|~{{3,}})[^\n`]*\n(?P<body>.*)\n[ \t]*(?P=fence){_SPECIALS}\Z",
    re.DOTALL,
)
_SPACED: Final = re.compile(r"<[ ]?\|[ ]{0,2}(/?)[ ]{0,2}(ref|det)[ ]{0,2}\|[ ]?>")
_BOX: Final = r"\[\s*\d{1,3}(?:\s*,\s*\d{1,3}){3}\s*\]"
_BOXES: Final = rf"\[\s*{_BOX}(?:\s*,\s*{_BOX})*\s*\]"
_LABELS: Final = "|".join(sorted(KINDS, key=len, reverse=True))
_BARE: Final = re.compile(rf"^[ \t]*({_LABELS})[ \t]*({_BOXES})[ \t]*", re.MULTILINE)
_STARTS: Final = re.compile(rf"\s*(?:<\|ref\|>|(?:{_LABELS})[ \t]*{_BOXES})")
_EMPTY: Final = re.compile(rf"\s*(?:<\|ref\|>(?:{_LABELS})<\|/ref\|>|(?:{_LABELS})[ \t]*{_BOXES})")
"""A line with a marker that has no text of its own."""


def split_pages(raw: str) -> list[str]:
    """Split a text at the lines that the published script writes after each page.

    A page without text is empty. A text without such lines is one page.
    """
    first, *others = _SPLIT.split(raw)
    if others and not others[-1].strip():
        return [first, *others[:-1]]
    # The line stands before each page instead of after it.
    return others if others and not first.strip() else [first, *others]


def as_written(raw: str) -> str:
    """Restore the markers of an answer: unfenced, without spaces in them, with their tokens."""
    text = _SPACED.sub(r"<|\1\2|>", raw)
    fenced = _FENCED.match(text)
    if fenced and _is_answer(fenced["body"]):
        text = fenced["body"]
    text = _BEGINNING.sub("", text)
    return text if "<|ref|>" in text or "<|det|>" in text else _with_tokens(text)


def _is_answer(text: str) -> bool:
    """Whether a text begins with a marker and has content: otherwise code quotes a marker."""
    lines = (line for line in text.split("\n") if line.strip())
    return bool(_STARTS.match(text)) and any(not _EMPTY.match(line) for line in lines)


def _with_tokens(text: str) -> str:
    """Write markers for the labels and boxes of a text whose special tokens were dropped."""
    if "[[" not in text:
        return text
    lines = [_labelled_line(line) for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and all(lines):  # lines of the page, the answer to ``OCR this image.``
        return "\n".join(lines)
    return _BARE.sub(lambda match: _marker(match[1], match[2]), text)


def _labelled_line(line: str) -> str:
    """A line that ends with a box as a marker; empty if it does not."""
    at = line.rfind("[[")
    label, boxes = line[: max(at, 0)].strip(), line[at:].strip()
    return _marker(label, boxes) if label and re.fullmatch(_BOXES, boxes) else ""


def _marker(label: str, boxes: str) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{boxes}<|/det|>"
