"""Payloads written without LlamaIndex are the ones that LlamaIndex writes."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.schema import NodeRelationship, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from opticalrag.ingest.core.records import BlockKind, Box, Chunk, DocumentRef, PageSpan
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.payload import Prepared, prepare
from opticalrag.ingest.llama_index.nodes import chunk_nodes, node_payload
from opticalrag.ingest.markdown.render import PageMarkdown

PAGES = {n: PageMarkdown(n, str(n), "", (), (), f"engine{n}", ("ocr",) * (n % 2)) for n in range(4)}
TEXTS = st.text(st.characters(), max_size=20)  # lone surrogates and control characters included
FRACTIONS = st.floats(0, 1)

boxes = st.builds(Box, FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)
ranges = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=2).map(tuple)
spans = st.builds(
    PageSpan,
    st.sampled_from(sorted(PAGES)),
    TEXTS,
    ranges,
    st.lists(boxes, max_size=2).map(tuple),
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
    st.booleans(),
)
documents = st.builds(DocumentRef, st.uuids().map(str), st.just("0" * 64), TEXTS, TEXTS, st.just(4))


@st.composite
def chunks(draw: st.DrawFn) -> list[Chunk]:
    """One to five chunks of a document."""
    document = draw(documents)
    return [
        Chunk(
            id=str(draw(st.uuids())),
            document=document,
            text=draw(TEXTS),
            context=draw(TEXTS),
            heading_path=tuple(draw(st.lists(TEXTS, max_size=2))),
            kinds=tuple(draw(st.lists(st.sampled_from(BlockKind), min_size=1, max_size=2))),
            spans=tuple(draw(st.lists(spans, min_size=1, max_size=2))),
            tokens=draw(st.integers(1, 999)),
            ordinal=ordinal,
            language=draw(st.sampled_from(["", "de"])),
        )
        for ordinal in range(draw(st.integers(1, 5)))
    ]


def as_json(payloads: list[dict[str, Any]]) -> list[str]:
    """The bytes of payloads, the order of their fields included."""
    return [json.dumps(payload) for payload in payloads]


@settings(deadline=None)
@given(made=chunks())
def test_a_payload_is_that_of_llama_index(made: list[Chunk]) -> None:
    """Byte for byte, `_node_content` and the links to the neighbours included."""
    prepared = prepare(made, PAGES, {})
    nodes = chunk_nodes(made, PAGES)

    assert as_json([one.payload for one in prepared]) == as_json(list(map(node_payload, nodes)))
    assert [(one.id, one.text) for one in prepared] == [(n.node_id, n.text) for n in nodes]


@settings(deadline=None, max_examples=20)
@given(made=chunks(), size=st.integers(1, 3))
def test_parts_of_a_document_are_linked_as_the_whole(made: list[Chunk], size: int) -> None:
    """Prepared a few chunks at a time, the payloads are the same."""
    parts: list[Prepared] = []
    for start in range(0, len(made), size):
        previous = made[start - 1] if start else None
        following = made[start + size] if start + size < len(made) else None
        parts += prepare(made[start : start + size], PAGES, {}, previous, following)

    assert parts == prepare(made, PAGES, {})


@settings(deadline=None, max_examples=20)
@given(made=chunks())
def test_llama_index_reads_a_payload_as_a_node(made: list[Chunk]) -> None:
    """Text, links and metadata come back."""
    nodes = [metadata_dict_to_node(one.payload) for one in prepare(made, PAGES, {})]

    assert [node.get_content() for node in nodes] == [one.embedded_text for one in made]
    for left, right in itertools.pairwise(nodes):
        assert isinstance(left, TextNode)
        assert left.next_node is not None
        assert left.next_node.node_id == right.node_id
        assert NodeRelationship.PREVIOUS in right.relationships


def test_stamped_fields_come_last_and_win() -> None:
    """As the pipeline stamps a document's fingerprint and time on each point."""
    document = DocumentRef("d", "0" * 64, "a.pdf", "/a.pdf", 1)
    span = PageSpan(0, "1", (), (), ())
    chunk = Chunk("c", document, "Text.", "", (), (BlockKind.TEXT,), (span,), 3, 0)
    (one,) = prepare([chunk], PAGES, {Field.FINGERPRINT: "f", Field.LANGUAGE: "xx"})

    assert list(one.payload)[-1] == Field.FINGERPRINT
    assert one.payload[Field.LANGUAGE] == "xx"
    assert Field.FINGERPRINT not in str(one.payload["_node_content"])
