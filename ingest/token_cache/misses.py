"""Which stored tokens a question is after, and why there are none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .index import StoredPage

__all__ = ["Wanted", "why_none"]

_SHOWN: Final = 200  # characters of a name: language models invent long ones


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tokens of a page.

    Attributes:
        document: id, path or file name.
        page: 0-based.
        weights: only those of this model; None for any.
        mode: only those of this mode; None for any.
        sha256: only those of a file of these bytes; empty for the last that was kept.
    """

    document: str
    page: int
    weights: str | None
    mode: str | None
    sha256: str

    def is_of(self, stored: StoredPage) -> bool:
        """Whether an entry of the document is what is wanted."""
        return (
            stored.page == self.page
            and self.weights in (None, stored.weights)
            and self.mode in (None, stored.mode)
            and self.sha256 in ("", stored.sha256)
        )


def why_none(wanted: Wanted, stored: Sequence[StoredPage]) -> str:
    """Why there are no such tokens, and what can be done besides encoding the page.

    Args:
        wanted: what was looked for.
        stored: all that is kept of its document.
    """
    name = f"{wanted.document:.{_SHOWN}}"
    if not stored:
        return (
            f"no vision tokens are kept of a document with the id, path or file name {name!r}"
            " (see `opticalrag cache ls`)"
        )
    page, count = f"page {wanted.page + 1} of {name}", stored[0].page_count
    if wanted.sha256 not in ("", stored[0].sha256):
        return f"no vision tokens of {page} as it was when this was asked for are kept"
    if not 0 <= wanted.page < count:
        return f"there is no {page}, which has {count} pages; choose one from 1 to {count}"
    of_page = [it for it in stored if it.page == wanted.page]
    return _why_none_of(page, wanted, of_page)


def _why_none_of(page: str, wanted: Wanted, stored: Sequence[StoredPage]) -> str:
    """Of a page that the document has, and what is kept of it."""
    ours = [it for it in stored if wanted.weights in (None, it.weights)]
    if stored and not ours:
        others = _listed(it.weights for it in stored)
        return (
            f"{page} is kept as encoded by the weights {others}, not by this model's"
            f" ({wanted.weights}); load that model"
        )
    if ours and wanted.mode not in (None, *(it.mode for it in ours)):
        modes = _listed(it.mode for it in ours)
        return f"{page} is kept in mode {modes}, not in {wanted.mode}; leave the mode out"
    return f"no vision tokens of {page} are kept, or not any more"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))
