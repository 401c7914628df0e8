"""A search for stored tokens, and the explanation when it finds none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .index import StoredPage

__all__ = ["TokenQuery", "explain_miss"]

_SHOWN: Final = 200  # characters of a name in a message: language models invent long ones


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """A search for the tokens of one page: the arguments of :meth:`.cache.TokenCache.load`."""

    document: str
    page: int
    weights: str | None
    mode: str | None
    sha256: str

    def matches(self, stored: StoredPage) -> bool:
        """Whether an entry of the document satisfies this query."""
        return (
            stored.page == self.page
            and self.weights in (None, stored.weights)
            and self.mode in (None, stored.mode)
            and self.sha256 in ("", stored.sha256)
        )


def explain_miss(query: TokenQuery, stored: Sequence[StoredPage]) -> str:
    """Explain why a query found nothing in the stored pages of its document, and what helps."""
    name = query.document[:_SHOWN]
    if not stored:
        return (
            "no vision tokens are stored for a document with the id, path or file name"
            f" {name!r}; `opticalrag cache ls` lists the documents"
        )
    page, count = f"page {query.page + 1} of {name}", stored[0].page_count
    if query.sha256 not in ("", stored[0].sha256):
        return f"no vision tokens are stored for the earlier content of {page}"
    if not 0 <= query.page < count:
        return f"there is no {page}, which has {count} pages: choose one from 1 to {count}"
    return _explain_page(page, query, [it for it in stored if it.page == query.page])


def _explain_page(page: str, query: TokenQuery, stored: Sequence[StoredPage]) -> str:
    ours = [it for it in stored if query.weights in (None, it.weights)]
    if stored and not ours:
        others = _listed(it.weights for it in stored)
        return (
            f"the vision tokens of {page} were made by a model with the weights {others}; this"
            f" model has {query.weights}: load the other model"
        )
    if ours and query.mode not in (None, *(it.mode for it in ours)):
        modes = _listed(it.mode for it in ours)
        return (
            f"the vision tokens of {page} are stored in mode {modes}, not in {query.mode}: omit"
            " the mode"
        )
    return f"no vision tokens are stored for {page}"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))
