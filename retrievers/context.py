"""Small to big: what stands around a hit, from the store, within a number of characters.

Chunks are found by what they were stored with: the ids of their neighbours (PREVIOUS and NEXT, as
LlamaIndex keeps them), their section, or their page. No larger points are needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise, takewhile
from typing import Any

from qdrant_client import models

from ..ingest.core.identity import point_id
from ..ingest.core.schema import Field
from ..ingest.store.filters import qdrant_filter
from ..ingest.store.store import QdrantStore
from .query import Context, Hit, Query, hit_from_payload

__all__ = ["stored_hits", "with_context", "without_covered"]

# Of one section or page. More do not fit what language models are given anyway.
_MOST_CHUNKS = 1024
_PREVIOUS, _NEXT = "2", "3"  # of LlamaIndex's NodeRelationship, as stored
_LEAST_OVERLAP = 16  # characters; what is shorter ends and begins texts by chance
_MOST_OVERLAP = 4000  # longer than the overlap of any chunk; looking further costs its square


def with_context(store: QdrantStore, hits: Sequence[Hit], query: Query) -> list[Hit]:
    """The hits with the context that the query asks for.

    Whole chunks are added on both sides, the nearest first, as long as the text has no more than
    ``query.context_chars`` characters; what a chunk repeats of the one before (headings, column
    names, overlap) is written once. A hit that is longer by itself stays alone.

    Raises:
        StoreError: the store failed.
    """
    if query.context is None or not hits:
        return list(hits)
    if query.context == "neighbours":
        around = _neighbours(store, hits, query.context_chars)
    else:
        around = {hit.id: _relatives(store, hit, query.context) for hit in hits}
    return [replace(hit, context=_context(hit, around[hit.id], query)) for hit in hits]


def without_covered(hits: Sequence[Hit]) -> list[Hit]:
    """Hits in their order, without those whose text is in the context of one before."""
    kept: list[Hit] = []
    read: set[str] = set()
    for hit in hits:
        if hit.id not in read:
            kept.append(hit)
            read |= {hit.id, *(hit.context.chunk_ids if hit.context else ())}
    return kept


def _context(hit: Hit, around: Sequence[Hit], query: Query) -> Context:
    """The hit and as many of its neighbours, in the document's order, as there is room for."""
    order = [*around] if any(one.id == hit.id for one in around) else [hit]
    place = next(n for n, one in enumerate(order) if one.id == hit.id)
    first, last = place, place + 1
    text = hit.text
    for start, stop in _growing(place, len(order)):
        wider = _joined(order[min(start, first) : max(stop, last)])
        if len(wider) > query.context_chars:
            break
        first, last, text = min(start, first), max(stop, last), wider
    chosen = order[first:last]
    pages = sorted({page for one in chosen for page in one.pages})
    return Context(text, tuple(one.id for one in chosen), tuple(pages))


def _growing(place: int, size: int) -> Iterable[tuple[int, int]]:
    """Ranges around a place: one more behind, one more before, and so on."""
    for distance in range(1, size):
        if place + distance < size:
            yield place, place + distance + 1
        if place - distance >= 0:
            yield place - distance, place + 1


# -- neighbours by id ------------------------------------------------------------------------


def _neighbours(store: QdrantStore, hits: Sequence[Hit], room: int) -> dict[str, list[Hit]]:
    """Chains of chunks around each hit; one request per step for all of them."""
    chains = {hit.id: [hit] for hit in hits}
    known: dict[str, Hit] = {hit.id: hit for hit in hits}
    growing = set(chains)
    while growing:
        wanted = {
            chain_end
            for one in growing
            for chain_end in _ends(chains[one])
            if chain_end and chain_end not in known
        }
        known |= stored_hits(store, wanted)
        for one in list(growing):
            grown = _grown(chains[one], known)
            if len(grown) == len(chains[one]) or sum(len(h.text) for h in grown) > room:
                growing.discard(one)
            chains[one] = grown
    return chains


def _ends(chain: Sequence[Hit]) -> tuple[str, str]:
    return _related(chain[0], _PREVIOUS), _related(chain[-1], _NEXT)


def _grown(chain: list[Hit], known: Mapping[str, Hit]) -> list[Hit]:
    held = {hit.id for hit in chain}
    before, after = (known.get(end) for end in _ends(chain))
    left = [before] if before is not None and before.id not in held else []
    right = [after] if after is not None and after.id not in held else []
    return [*left, *chain, *right]


def _related(hit: Hit, relation: str) -> str:
    """The id of a neighbour; empty if the point names none."""
    try:
        content = json.loads(str(hit.payload.get("_node_content") or "{}"))
        return point_id(str(content["relationships"][relation]["node_id"]))
    except (ValueError, KeyError, TypeError):
        return ""


def stored_hits(store: QdrantStore, ids: Iterable[str]) -> dict[str, Hit]:
    """The points of nodes with these ids, by their own, as hits without a score.

    What is not stored is not among them.

    Raises:
        StoreError: the store failed.
    """
    wanted = sorted({point_id(one) for one in ids})
    if not wanted or not store.exists():
        return {}
    records = store.retrieve(wanted)
    return {str(r.id): hit_from_payload(str(r.id), 0.0, r.payload or {}) for r in records}


# -- relatives by section or page ------------------------------------------------------------


def _relatives(store: QdrantStore, hit: Hit, kind: str) -> list[Hit]:
    """The chunks of the hit's section or pages, in the document's order."""
    section = str(hit.payload.get(Field.SECTION) or "")
    shared: dict[str, Any] = {Field.FILE_ID: hit.file_id}
    shared |= {Field.SECTION: section} if kind == "section" else {Field.PAGES: list(hit.pages)}
    if not hit.file_id or (kind == "section" and not section):
        return [hit]
    found = _scrolled(store, qdrant_filter(shared))
    found.sort(key=_ordinal)
    place = next((n for n, one in enumerate(found) if one.id == hit.id), None)
    if place is None or kind == "page":
        return found
    return _unbroken(found, place)


def _unbroken(found: list[Hit], place: int) -> list[Hit]:
    """The run of consecutive chunks around a place: sections elsewhere may have the same name."""
    first = last = place
    while first > 0 and _ordinal(found[first]) - _ordinal(found[first - 1]) == 1:
        first -= 1
    while last + 1 < len(found) and _ordinal(found[last + 1]) - _ordinal(found[last]) == 1:
        last += 1
    return found[first : last + 1]


def _ordinal(hit: Hit) -> int:
    return int(hit.payload.get(Field.ORDINAL) or 0)


def _scrolled(store: QdrantStore, where: models.Filter | None) -> list[Hit]:
    records = islice(store.scroll(where), _MOST_CHUNKS)
    return [hit_from_payload(str(r.id), 0.0, r.payload or {}) for r in records]


# -- joining ---------------------------------------------------------------------------------


def _joined(chunks: Sequence[Hit]) -> str:
    """The texts of consecutive chunks, without what each repeats of the one before."""
    joined = chunks[0].text
    for before, chunk in pairwise(chunks):
        lines = _without_path(chunk, before).split("\n")
        shared = _shared(lines, _without_path(before, before).split("\n"))
        rest = "\n".join(lines[shared:]).lstrip("\n")
        if not shared:
            rest = _without_overlap(rest, before.text)
        # Rows whose column names were said go on with the table.
        gap = "\n" if shared and lines[shared - 1].startswith("|") else "\n\n"
        joined += gap + rest if rest else ""
    return joined


def _without_path(chunk: Hit, before: Hit) -> str:
    """A chunk's text without the line of headings above it, if the one before names them, too."""
    line, _, rest = chunk.text.partition("\n")
    for path in (chunk.heading_path, chunk.heading_path[:-1]):
        shown = {" > ".join(path[first:]) for first in range(len(path))}
        named = before.heading_path[: len(path)] == path or (path[-1:] and path[-1] in before.text)
        if line in shown and named:
            return rest
    return chunk.text


def _shared(lines: Sequence[str], others: Sequence[str]) -> int:
    """How many first lines are the same: captions and column names."""
    same = (left == right for left, right in zip(lines, others, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def _without_overlap(text: str, before: str) -> str:
    """Without the start that the text before ends with: a caption, or chunks cut to overlap."""
    for size in range(min(len(before), len(text), _MOST_OVERLAP), _LEAST_OVERLAP - 1, -1):
        if before.endswith(text[:size]):
            return text[size:].lstrip()
    return text
