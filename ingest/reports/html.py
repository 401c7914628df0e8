"""Renders a report as one HTML page, which embeds its pictures. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ..core.flags import DOUBTFUL
from ..core.records import PageFailure
from .markup import html_page, html_table

__all__ = ["PagePicture", "report_html"]

_MAX_FAILURES: Final = 1000  # rows that a browser shows at once; further failures are counted

_REMEDIES: Final = {
    "crashed": "Leave the page out (--pages), or repair the file, for example with qpdf.",
    "damaged": "Repair the file, for example with qpdf, or get a new copy.",
    "encrypted": "Pass the password (--password).",
    "io": "Check that the file exists and is readable.",
    "limit_exceeded": "Leave the file out, or raise the limit in the message.",
    "out_of_memory": "Allow more memory (--page-memory), or leave the page out (--pages).",
    "page_failed": "Repair the file, for example with qpdf, or leave the page out (--pages).",
    "page_range": "Select pages that exist (--pages).",
    "source_changed": "Ingest the file again when no program writes to it.",
    "timeout": "Allow more time (--page-timeout), or leave the page out (--pages).",
    "unsupported_source": "Convert the file to PDF, or leave it out.",
}


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A failed or doubtful page: its flags and its picture (None: it could not be drawn)."""

    file: str
    number: int
    flags: tuple[str, ...]
    jpeg: bytes | None


def report_html(
    counts: Mapping[str, float],
    failures: Sequence[PageFailure],
    doubtful: Sequence[PagePicture],
    left_out: int = 0,
    failed: Sequence[PagePicture] = (),
    flags: Mapping[str, int] | None = None,
) -> str:
    """Render a report.

    ``left_out`` counts further doubtful pages, without pictures; ``flags`` tells how many pages
    have each flag.
    """
    rows = ((name.replace("_", " "), f"{value:,.6g}") for name, value in counts.items())
    shown = failures[:_MAX_FAILURES]
    more = len(failures) - len(shown)
    parts = [
        html_table(("figure", "value"), rows),
        *_flags(flags or {}),
        f"<h2>Failures: {len(failures)}</h2>",
        html_table(("file", "page", "code", "message", "remedy"), map(_failure_row, shown)),
        f"<p>{more} more failures are not shown.</p>" if more else "",
        *map(_figure, failed),
        f"<h2>Doubtful pages: {len(doubtful) + left_out}</h2>",
        *map(_figure, doubtful),
        f"<p>{left_out} more pages are not shown.</p>" if left_out else "",
    ]
    return html_page("Ingest report", parts)


def _flags(counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        rows = ((name, f"{n:,}", "yes" if name in DOUBTFUL else "no") for name, n in ranked)
        yield "<h2>Flagged pages</h2>"
        yield html_table(("flag", "pages", "doubtful"), rows)


def _failure_row(failure: PageFailure) -> tuple[str, ...]:
    number = "" if failure.number is None else str(failure.number)
    remedy = _REMEDIES.get(failure.code, "See the message.")
    return failure.file, number, failure.code, failure.message, remedy


def _figure(page: PagePicture) -> str:
    words = escape(f"{page.file}, page {page.number}: {', '.join(page.flags)}")
    if page.jpeg is None:
        return f"<figure><figcaption>{words} (cannot be drawn)</figcaption></figure>"
    data = b64encode(page.jpeg).decode("ascii")
    picture = f'<img alt="page {page.number}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{picture}<figcaption>{words}</figcaption></figure>"
