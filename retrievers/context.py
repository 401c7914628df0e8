"""Adds context to hits: the text around a chunk, up to a number of characters.

The surrounding chunks come from the store. Their payloads name their neighbours (PREVIOUS and
NEXT, as LlamaIndex stores them), their section and their pages, so no larger points are needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice, pairwise, takewhile

from ..ingest.core.identity import point_id
from ..ingest.core.schema import Field
from ..ingest.store.filters import qdrant_filter
from ..ingest.store.store import QdrantStore
from .query import Context, Hit, Query, hit_from_payload

__all__ = ["add_context", "drop_covered", "load_hits"]

# Chunks read of one section or page. More do not fit the prompt of a language model anyway.
_MAX_CHUNKS = 1024
_PREVIOUS, _NEXT = "2", "3"  # values of LlamaIndex's NodeRelationship, as stored
_MIN_OVERLAP = 16  # characters; shorter matches between two texts are chance
_MAX_OVERLAP = 4000  # characters; longer than any chunk's overlap. The cost grows quadratically.


def add_context(store: QdrantStore, hits: Sequence[Hit], query: Query) -> list[Hit]:
    """Give each hit the context that the query asks for.

    Whole chunks are added on both sides, the nearest first, while the text fits into
    ``query.context_chars`` characters. Text that a chunk repeats from the previous one (headings,
    column names, overlap) is written once. A hit that is itself longer gets no other chunks.
    """
    if query.context is None or not hits:
        return list(hits)
    if query.context == "neighbours":
        around = _neighbours(store, hits, query.context_chars)
    else:
        around = {hit.id: _same_section_or_page(store, hit, query.context) for hit in hits}
    return [replace(hit, context=_context(hit, around[hit.id], query)) for hit in hits]


def drop_covered(hits: Sequence[Hit]) -> list[Hit]:
    """Drop hits whose chunk is already in the context of an earlier hit; keep the order."""
    kept: list[Hit] = []
    covered: set[str] = set()
    for hit in hits:
        if hit.id not in covered:
            kept.append(hit)
            covered |= {hit.id, *(hit.context.chunk_ids if hit.context else ())}
    return kept


def _context(hit: Hit, chunks: Sequence[Hit], query: Query) -> Context:
    """Join the hit with as many surrounding chunks as fit, in document order."""
    position = [chunk.id for chunk in chunks].index(hit.id)
    nearest = sorted(range(len(chunks)), key=lambda n: (abs(n - position), n < position))
    first, last, text = position, position + 1, hit.text
    for added in nearest[1:]:
        start, stop = min(added, first), max(added + 1, last)
        wider = _joined(chunks[start:stop])
        if len(wider) > query.context_chars:
            break
        first, last, text = start, stop, wider
    chosen = chunks[first:last]
    pages = sorted({page for chunk in chosen for page in chunk.pages})
    return Context(text, tuple(chunk.id for chunk in chosen), tuple(pages))


# -- neighbours by id ------------------------------------------------------------------------


def _neighbours(store: QdrantStore, hits: Sequence[Hit], max_chars: int) -> dict[str, list[Hit]]:
    """Chains of chunks around each hit. Each step is one request for all chains."""
    chains = {hit.id: [hit] for hit in hits}
    known = {hit.id: hit for hit in hits}
    growing = set(chains)
    while growing:
        wanted = {
            neighbour
            for hit_id in growing
            for neighbour in _neighbour_ids(chains[hit_id])
            if neighbour and neighbour not in known
        }
        known |= load_hits(store, wanted)
        for hit_id in list(growing):
            grown = _grown(chains[hit_id], known)
            if len(grown) == len(chains[hit_id]) or sum(len(h.text) for h in grown) > max_chars:
                growing.discard(hit_id)
            chains[hit_id] = grown
    return chains


def _neighbour_ids(chain: Sequence[Hit]) -> tuple[str, str]:
    return _neighbour_id(chain[0], _PREVIOUS), _neighbour_id(chain[-1], _NEXT)


def _grown(chain: list[Hit], known: Mapping[str, Hit]) -> list[Hit]:
    new = {*known} - {hit.id for hit in chain}
    left, right = ([known[n]] if n in new else [] for n in _neighbour_ids(chain))
    return [*left, *chain, *right]


def _neighbour_id(hit: Hit, relation: str) -> str:
    """The point id of a neighbour; empty if the payload names none."""
    try:
        content = json.loads(str(hit.payload.get("_node_content") or "{}"))
        return point_id(str(content["relationships"][relation]["node_id"]))
    except (ValueError, KeyError, TypeError):
        return ""


def load_hits(store: QdrantStore, ids: Iterable[str]) -> dict[str, Hit]:
    """Load stored nodes by node id, as hits with a score of 0, by point id."""
    wanted = sorted({point_id(node_id) for node_id in ids})
    if not wanted or not store.exists():
        return {}
    records = store.retrieve(wanted)
    return {str(r.id): hit_from_payload(str(r.id), 0.0, r.payload or {}) for r in records}


# -- chunks of the same section or page ------------------------------------------------------


def _same_section_or_page(store: QdrantStore, hit: Hit, kind: str) -> list[Hit]:
    """The chunks of the hit's section or pages, in document order."""
    section = str(hit.payload.get(Field.SECTION) or "")
    if not hit.file_id or (kind == "section" and not section):
        return [hit]
    shared = {Field.SECTION: section} if kind == "section" else {Field.PAGES: list(hit.pages)}
    where = qdrant_filter({Field.FILE_ID: hit.file_id, **shared})
    records = islice(store.scroll(where), _MAX_CHUNKS)
    chunks = [hit_from_payload(str(r.id), 0.0, r.payload or {}) for r in records]
    chunks.sort(key=_ordinal)
    # Other sections of the same name, elsewhere in the document, are cut off.
    runs = [chunks] if kind == "page" else _consecutive(chunks)
    return next((run for run in runs if any(chunk.id == hit.id for chunk in run)), [hit])


def _consecutive(chunks: Sequence[Hit]) -> Iterator[list[Hit]]:
    for _, run in groupby(enumerate(chunks), lambda pair: _ordinal(pair[1]) - pair[0]):
        yield [chunk for _, chunk in run]


def _ordinal(hit: Hit) -> int:
    return int(hit.payload.get(Field.ORDINAL) or 0)


# -- joining chunks --------------------------------------------------------------------------


def _joined(chunks: Sequence[Hit]) -> str:
    """The texts of consecutive chunks, without text repeated from the previous chunk."""
    joined = chunks[0].text
    for before, chunk in pairwise(chunks):
        lines = _without_headings(chunk, before).split("\n")
        shared = _shared_lines(lines, _without_headings(before, before).split("\n"))
        rest = "\n".join(lines[shared:]).lstrip("\n")
        if not shared:
            rest = _without_overlap(rest, before.text)
        # Rows after repeated column names continue the table above.
        gap = "\n" if shared and lines[shared - 1].startswith("|") else "\n\n"
        joined += gap + rest if rest else ""
    return joined


def _without_headings(chunk: Hit, before: Hit) -> str:
    """The chunk's text without its line of headings, if the previous chunk shows them too."""
    line, _, rest = chunk.text.partition("\n")
    for path in (chunk.heading_path, chunk.heading_path[:-1]):
        shown = {" > ".join(path[first:]) for first in range(len(path))}
        named = before.heading_path[: len(path)] == path or (path[-1:] and path[-1] in before.text)
        if line in shown and named:
            return rest
    return chunk.text


def _shared_lines(lines: Sequence[str], others: Sequence[str]) -> int:
    """Count the equal first lines: captions and column names."""
    same = (left == right for left, right in zip(lines, others, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def _without_overlap(text: str, before: str) -> str:
    """The text without its start, if ``before`` ends with it: a caption, or a chunk's overlap."""
    for size in range(min(len(before), len(text), _MAX_OVERLAP), _MIN_OVERLAP - 1, -1):
        if before.endswith(text[:size]):
            return text[size:].lstrip()
    return text
