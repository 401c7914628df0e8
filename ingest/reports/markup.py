"""Self-contained HTML pages whose content security policy forbids scripts and requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

__all__ = ["html_page", "html_table"]

_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'"
)
_STYLE: Final = (
    "body{font:15px/1.4 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3em .6em;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "figure{display:inline-block;margin:1em;vertical-align:top}img{border:1px solid #bbb}"
)


def html_page(title: str, parts: Iterable[str], style: str = "") -> str:
    """Make a page of a title and parts in HTML; ``style`` is further CSS."""
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        f'<meta name="referrer" content="no-referrer"><title>{escape(title)}</title>',
        f"<style>{_STYLE}{style}</style></head><body><h1>{escape(title)}</h1>",
        *parts,
        "</body></html>",
    ]
    return "\n".join(filter(None, lines)) + "\n"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table of plain text."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table><tr>{head}</tr>\n{body}</table>"
