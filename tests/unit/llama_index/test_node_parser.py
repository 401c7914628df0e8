from __future__ import annotations

import itertools
import json

from llama_index.core.schema import Document, MetadataMode, NodeRelationship, TextNode

from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.llama_index.node_parser import LayoutNodeParser
from opticalrag.ingest.llama_index.nodes import node_payload
from opticalrag.ingest.llama_index.page_documents import LAYOUT_KEY
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import block, page


def page_document(made: PageMarkdown, **metadata: object) -> Document:
    base = {
        Field.FILE_NAME: "report.pdf",
        Field.FILE_PATH: "/reports/report.pdf",
        Field.FILE_ID: "file",
        Field.FILE_SHA256: "0" * 64,
        Field.PAGE_LABEL: made.label,
        LAYOUT_KEY: made.layout(),
    }
    return Document(id_=f"page-{made.index}", text=made.text, metadata={**base, **metadata})


def two_pages() -> list[Document]:
    first = page_markdown(page(block("Scope", BlockKind.HEADING, 1), block("word " * 150)))
    second = page_markdown(page(block("more " * 150), index=1, label="ii"))
    return [page_document(first), page_document(second)]


def parse(documents: list[Document], max_tokens: int | None = 128) -> list[TextNode]:
    nodes = LayoutNodeParser(max_tokens=max_tokens).get_nodes_from_documents(documents)
    assert all(isinstance(node, TextNode) for node in nodes)
    return nodes  # type: ignore[return-value]


def test_headings_and_links_cross_page_breaks() -> None:
    """Nodes on page two have the heading of page one and a link to the previous node."""
    nodes = parse(two_pages())
    on_second = [n for n in nodes if n.metadata[Field.PAGES] == [2]]

    assert on_second
    assert all(n.metadata[Field.HEADING_PATH] == ["Scope"] for n in nodes)
    for left, right in itertools.pairwise(nodes):
        assert left.relationships[NodeRelationship.NEXT].node_id == right.node_id  # type: ignore[union-attr]
        assert right.relationships[NodeRelationship.PREVIOUS].node_id == left.node_id  # type: ignore[union-attr]


def test_a_node_belongs_to_the_page_it_starts_on() -> None:
    """The docstore can replace the nodes of one changed page."""
    for node in parse(two_pages()):
        assert node.ref_doc_id == f"page-{node.metadata[Field.PAGES][0] - 1}"


def test_nothing_but_the_text_is_embedded() -> None:
    """Metadata would use up the embedder's tokens; the layout is not copied into nodes."""
    for node in parse(two_pages()):
        assert node.get_content(MetadataMode.EMBED) == node.text
        assert LAYOUT_KEY not in node.metadata
        assert "page_label" in node.get_content(MetadataMode.LLM)


def test_the_callers_metadata_stays_and_ours_wins() -> None:
    """Extra metadata of a Document reaches its nodes."""
    document = two_pages()[0]
    document.metadata |= {"team": "blue", Field.KIND: "theirs"}

    assert all(
        n.metadata["team"] == "blue" and n.metadata[Field.KIND] == "text" for n in parse([document])
    )


def test_documents_of_other_readers_are_read_as_markdown() -> None:
    """A Document without layout is cut by its Markdown, without boxes."""
    (node,) = parse([Document(text="# T\n\ntext", metadata={"page_label": "7"})])

    assert node.metadata[Field.HEADING_PATH] == ["T"]
    assert node.metadata[Field.PAGE_LABEL] == "7"
    assert node.metadata[Field.BOXES] == []


def test_a_changed_text_is_parsed_anew() -> None:
    """A transformation shortened it after the reader, so the layout no longer fits."""
    document = two_pages()[0]
    document.set_content("Redacted.")

    assert [n.text for n in parse([document])] == ["Redacted."]


def test_ids_are_the_same_in_every_run() -> None:
    """Parsing again makes the same nodes."""
    assert [n.node_id for n in parse(two_pages())] == [n.node_id for n in parse(two_pages())]


def test_the_parser_survives_serialisation() -> None:
    """to_dict and from_dict keep the options."""
    parser = LayoutNodeParser(max_tokens=77, target_tokens=50)
    again = LayoutNodeParser.from_dict(json.loads(json.dumps(parser.to_dict())))

    assert (again.max_tokens, again.target_tokens) == (77, 50)


def test_a_payload_is_json_and_holds_the_text() -> None:
    """LlamaIndex and any other client can read it."""
    payload = node_payload(parse(two_pages())[0])

    assert payload[Field.TEXT].startswith("## Scope")
    assert json.loads(json.dumps(payload))["_node_type"] == "TextNode"
