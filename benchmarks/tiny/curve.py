"""Draws precision against compression with the published figures, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

__all__ = ["draw_curve", "in_bins"]

Point = tuple[float, float]
"""Compression and precision."""

# The paper's table 2: Fox, 600 to 1,300 tokens, 64 vision tokens.
_PAPER: Final = (
    *((10.5, 0.965), (11.8, 0.938), (13.2, 0.838), (15.1, 0.859)),
    *((16.5, 0.793), (17.7, 0.764), (19.7, 0.591)),
)
_CLAIMS: Final = ((10.0, 0.97), (20.0, 0.60))  # from its abstract
_COLOURS: Final = ("#1f618d", "#1e8449", "#b9770e", "#b03a2e")
_GREY: Final = "#555"
_WIDTH, _HEIGHT, _EDGE = 640, 440, 60
_MOST: Final = 32.0  # compression at the right edge; a few pages lie beyond
_BIN: Final = 40  # pages


def draw_curve(budgets: Sequence[dict[str, Any]]) -> str:
    """Draw a line through each budget's bins, a large dot for its mean, and the paper's figures.

    Pages differ in their amount of text, so one budget compresses them differently. Each bin holds
    pages of similar compression.

    Args:
        budgets: the results of :func:`.evaluate.budget`.
    """
    parts = [*_axes(), *_paper()]
    for number, (row, colour) in enumerate(zip(budgets, _COLOURS, strict=False)):
        points = [(c, p) for c, p in row["by_page"]]
        parts += [_dot(point, 1.5, colour, 0.25) for point in points if point[0] <= _MOST]
        bins = in_bins(points)
        parts.append(_line(bins, colour, "") if len(bins) > 1 else "")
        mean = (row["compression"], row["free_ocr"])
        parts.append(_dot(mean, 6, colour, 1))
        label = f"{row['vision_tokens']} vision tokens: {mean[1]:.0%} at {mean[0]:.1f}x"
        parts.append(_text(_WIDTH - 230, 100 + 18 * number, label, colour))
    body = "\n".join(part for part in parts if part)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def in_bins(points: Sequence[Point], size: int = _BIN) -> list[Point]:
    """Average groups of about this many points, in order of compression."""
    if not points:
        return []
    ordered = np.array(sorted(points))
    parts = np.array_split(ordered, max(1, round(len(ordered) / size)))
    return [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]


def _place(point: Point) -> Point:
    x = _EDGE + point[0] / _MOST * (_WIDTH - 2 * _EDGE)
    y = _HEIGHT - _EDGE - max(0.0, point[1]) * (_HEIGHT - 2 * _EDGE)
    return x, y


def _dot(point: Point, size: float, colour: str, opacity: float) -> str:
    x, y = _place(point)
    look = f'r="{size}" fill="{colour}" fill-opacity="{opacity}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" {look}/>'


def _line(points: Sequence[Point], colour: str, dashes: str) -> str:
    places = " ".join("{:.1f},{:.1f}".format(*_place(point)) for point in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


def _text(x: float, y: float, text: str, colour: str = "black", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}">{text}</text>'


def _paper() -> Iterator[str]:
    yield _line(_PAPER, _GREY, "5 3")
    yield _text(_WIDTH - 230, 82, "- - DeepSeek-OCR, paper, table 2", _GREY)
    for claim in _CLAIMS:
        x, y = _place(claim)
        yield f'<path d="M{x - 5:.1f} {y:.1f} h10 m-5 -5 v10" stroke="{_GREY}" stroke-width="2"/>'
        yield _text(x + 8, y - 6, f"{claim[1]:.0%} at {claim[0]:.0f}x", _GREY)


def _axes() -> Iterator[str]:
    left, bottom = _place((0, 0))
    right, top = _place((_MOST, 1))
    yield f'<path d="M{left} {top} V{bottom} H{right}" fill="none" stroke="black"/>'
    for tenth in range(0, 11, 2):
        yield _text(left - 42, _place((0, tenth / 10))[1] + 4, f"{tenth * 10} %")
    for times in range(0, int(_MOST) + 1, 5):
        yield _text(_place((times, 0))[0] - 8, bottom + 18, f"{times}x")
    yield _text(left, 24, "Characters read right, by compression", size=14)
    axis = (
        "Text tokens per vision token. A token is one letter here, and about four in the"
        " paper's tokenizer;"
    )
    yield _text(left, bottom + 36, axis)
    yield _text(
        left, bottom + 52, f"lines: means of {_BIN} pages of like compression; large dots: of all"
    )
