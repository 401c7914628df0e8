"""Draw precision against compression, beside the published figures, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

__all__ = ["draw_curve"]

# Compression and precision of the paper's table 2: Fox, 600 to 1,300 tokens, 64 vision tokens.
_PAPER: Final = (
    *((10.5, 0.965), (11.8, 0.938), (13.2, 0.838), (15.1, 0.859)),
    *((16.5, 0.793), (17.7, 0.764), (19.7, 0.591)),
)
_COLOURS: Final = ("#b03a2e", "#b9770e", "#1e8449", "#1f618d")
_WIDTH, _HEIGHT, _EDGE = 640, 400, 50


def draw_curve(budgets: Sequence[dict[str, Any]]) -> str:
    """One dot a page, one large dot a budget, and the paper's line.

    Args:
        budgets: what :func:`.evaluate.budget` returns, of each.
    """
    most = max(20.0, max(c for row in budgets for c, _ in row["by_page"]))
    parts = [*_axes(most)]
    for row, colour in zip(budgets, _COLOURS, strict=False):
        parts += [_dot(c, p, most, 2, colour, 0.35) for c, p in row["by_page"]]
    for row, colour in zip(budgets, _COLOURS, strict=False):
        parts.append(_dot(row["compression"], row["free_ocr"], most, 7, colour, 1))
        label = f"{row['vision_tokens']} tokens: {row['free_ocr']:.0%} at {row['compression']:.1f}x"
        y = 70 + 18 * list(budgets).index(row)
        parts.append(f'<text x="{_WIDTH - 200}" y="{y}" fill="{colour}">{label}</text>')
    points = " ".join("{:.1f},{:.1f}".format(*_place(c, p, most)) for c, p in _PAPER)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#555" stroke-dasharray="5 3"/>')
    parts.append(
        f'<text x="{_WIDTH - 200}" y="52" fill="#555">- - DeepSeek-OCR, paper, table 2</text>'
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _place(compression: float, precision: float, most: float) -> tuple[float, float]:
    x = _EDGE + compression / most * (_WIDTH - 2 * _EDGE)
    y = _HEIGHT - _EDGE - max(0.0, precision) * (_HEIGHT - 2 * _EDGE)
    return x, y


def _dot(c: float, p: float, most: float, size: int, colour: str, opacity: float) -> str:
    x, y = _place(c, p, most)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}" fill-opacity="{opacity}"/>'
    )


def _axes(most: float) -> list[str]:
    left, bottom = _place(0, 0, most)
    right, top = _place(most, 1, most)
    lines = [f'<path d="M{left} {top} V{bottom} H{right}" fill="none" stroke="black"/>']
    for tenth in range(0, 11, 2):
        _, y = _place(0, tenth / 10, most)
        lines.append(f'<text x="{left - 36}" y="{y + 4:.1f}">{tenth * 10} %</text>')
    step = 5 if most <= 40 else 20
    for times in range(0, int(most) + 1, step):
        x, _ = _place(times, 0, most)
        lines.append(f'<text x="{x - 8:.1f}" y="{bottom + 18}">{times}x</text>')
    title = "Characters read right, against text tokens (ours are letters) per vision token"
    return [*lines, f'<text x="{left}" y="24" font-size="14">{title}</text>']
