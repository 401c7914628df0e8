"""Parent nodes of sections or pages, for LlamaIndex's AutoMergingRetriever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Literal

from llama_index.core.schema import NodeRelationship, TextNode

from ..chunking.chunker import Repeats
from ..core.identity import parent_id
from ..core.records import Chunk
from ..core.schema import Field
from ..markdown.render import PageMarkdown
from .nodes import related

__all__ = ["ParentKind", "parent_nodes"]

ParentKind = Literal["section", "page"]

_SHARED: Final = frozenset(
    {Field.FILE_NAME, Field.FILE_PATH, Field.FILE_ID, Field.FILE_SHA256, Field.PAGE_LABEL}
)
"""Metadata that a parent copies from its first node."""


def parent_nodes(
    chunks: Sequence[Chunk],
    nodes: Sequence[TextNode],
    pages: Mapping[int, PageMarkdown],
    kind: ParentKind,
    repeats: Repeats,
) -> list[TextNode]:
    """Make the parents of a document's nodes and link them both ways.

    A section or page with one node gets no parent: it would repeat the node. A parent's text is
    cut from the Markdown of ``pages`` (by 0-based index). ``repeats`` counts the parents made so
    far by document, kind, page and name, and is updated.
    """
    pairs = list(zip(chunks, nodes, strict=True))
    groups = [list(group) for _, group in groupby(pairs, key=lambda pair: _key(pair[0], kind))]
    texts = _texts([[chunk for chunk, _ in group] for group in groups], pages)
    parents: list[TextNode] = []
    for members, text in zip(groups, texts, strict=True):
        if len(members) < 2:
            continue
        first = members[0][0]
        name = " > ".join(first.heading_path) if kind == "section" else ""
        page = first.spans[0].index
        key = (first.document.id, kind, page, name)
        node_id = parent_id(*key, repeats[key])
        repeats[key] += 1
        parents.append(_parent(node_id, kind, members, text))
    return parents


def _key(chunk: Chunk, kind: ParentKind) -> object:
    return chunk.heading_path if kind == "section" else chunk.spans[0].index


def _parent(
    node_id: str, kind: ParentKind, members: Sequence[tuple[Chunk, TextNode]], text: str
) -> TextNode:
    chunks = [chunk for chunk, _ in members]
    first = members[0][1]
    metadata: dict[str, Any] = {
        **{key: value for key, value in first.metadata.items() if key in _SHARED},
        Field.PAGES: sorted({page for chunk in chunks for page in chunk.pages}),
        Field.KIND: kind,
    }
    if kind == "section":
        path = list(chunks[0].heading_path)
        metadata |= {Field.HEADING_PATH: path, Field.SECTION: " > ".join(path)}
    keys = list(metadata)
    parent = TextNode(
        id_=node_id,
        text=text,
        metadata=metadata,
        excluded_embed_metadata_keys=keys,
        excluded_llm_metadata_keys=[k for k in keys if k in first.excluded_llm_metadata_keys],
        relationships={NodeRelationship.SOURCE: first.relationships[NodeRelationship.SOURCE]},
    )
    parent.relationships[NodeRelationship.CHILD] = [related(node.node_id) for _, node in members]
    for _, node in members:
        node.relationships[NodeRelationship.PARENT] = related(node_id)
    return parent


def _texts(groups: Sequence[Sequence[Chunk]], pages: Mapping[int, PageMarkdown]) -> list[str]:
    """Cut the text of each group of chunks from the pages, with the Markdown between its ranges.

    Leaves out ranges of other groups in between, for example of a footnote that was moved from
    the end of the page to its reference.
    """
    ranges: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for number, chunks in enumerate(groups):
        for span in (span for chunk in chunks for span in chunk.spans):
            ranges[span.index] += [(start, end, number) for start, end in span.ranges]
    slices: list[list[str]] = [[] for _ in groups]
    for index in sorted(ranges):
        for number, run in groupby(sorted(ranges[index]), key=itemgetter(2)):
            held = list(run)
            slices[number].append(pages[index].text[held[0][0] : held[-1][1]])
    return ["\n\n".join(parts) for parts in slices]
