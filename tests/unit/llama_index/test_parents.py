from __future__ import annotations

from llama_index.core.node_parser import get_leaf_nodes
from llama_index.core.schema import NodeRelationship, TextNode

from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.llama_index.node_parser import LayoutNodeParser
from opticalrag.ingest.markdown.render import page_markdown

from ...builders import WordCounter, block, page
from .test_node_parser import page_document


def parsed(kind: str) -> list[TextNode]:
    first = page_markdown(
        page(block("Scope", BlockKind.HEADING, 1), block("word " * 100), block("end. " * 50))
    )
    second = page_markdown(page(block("more " * 50), index=1))
    parser = LayoutNodeParser.with_counter(WordCounter(64), parents=kind)
    return parser.get_nodes_from_documents([page_document(first), page_document(second)])  # type: ignore[return-value]


def test_a_section_is_the_parent_of_its_nodes() -> None:
    """Parents come first, hold the section's text, and are linked both ways."""
    parent, *leaves = parsed("section")
    children = parent.relationships[NodeRelationship.CHILD]

    assert [c.node_id for c in children] == [n.node_id for n in leaves]  # type: ignore[union-attr]
    assert all(n.parent_node and n.parent_node.node_id == parent.node_id for n in leaves)
    assert parent.text.startswith("## Scope\n\nword")
    assert parent.text.rstrip().endswith("more")
    assert parent.metadata[Field.PAGES] == [1, 2]
    assert get_leaf_nodes(parsed("section"))[0].node_id == leaves[0].node_id


def test_a_page_is_a_parent_only_if_it_has_several_nodes() -> None:
    """The parent of a single node would repeat it."""
    nodes = parsed("page")
    parents = [n for n in nodes if NodeRelationship.CHILD in n.relationships]

    assert [p.metadata[Field.PAGES] for p in parents] == [[1]]
    assert nodes[-1].parent_node is None


def test_auto_merging_retrieval_finds_the_parents() -> None:
    """LlamaIndex's own retriever replaces the nodes of a section with the section."""
    from llama_index.core.retrievers import AutoMergingRetriever
    from llama_index.core.retrievers import BaseRetriever as Base
    from llama_index.core.schema import NodeWithScore, QueryBundle
    from llama_index.core.storage import StorageContext

    nodes = parsed("section")
    storage = StorageContext.from_defaults()
    storage.docstore.add_documents(nodes)

    class Leaves(Base):
        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            return [NodeWithScore(node=node, score=1.0) for node in get_leaf_nodes(nodes)]

    found = AutoMergingRetriever(Leaves(), storage).retrieve("scope")

    assert [hit.node.node_id for hit in found] == [nodes[0].node_id]


def test_the_ids_of_parents_do_not_change_with_their_text() -> None:
    """A docstore replaces an edited section instead of keeping both."""
    assert parsed("section")[0].node_id == parsed("section")[0].node_id


def test_a_section_does_not_hold_the_sections_before_its_footnote() -> None:
    """A footnote moved up to its reference does not take the text in between along."""
    sections = [f"# {name}\n\n" + f"{name} word. " * 60 for name in ("Apples", "Pears", "Plums")]
    text = sections[0] + "[^1]\n\n" + "\n\n".join(sections[1:]) + "\n\n[^1]: The note."
    parser = LayoutNodeParser.with_counter(WordCounter(64), parents="section")
    parents = [n for n in parser.parse_markdown(text) if NodeRelationship.CHILD in n.relationships]

    assert len(parents) == 3
    assert "Pears" not in parents[0].get_content()
    assert parents[0].get_content().endswith("The note.")
