from __future__ import annotations

import pytest
from llama_index.core.schema import Document
from opticalrag.ingest.node_parser import LayoutNodeParser
from opticalrag.ingest.schema import Field

from ..builders import WordCounter

CUT = ("A paragraph that a page break cuts in its", "middle.")


def parse(*documents: Document) -> list[tuple[list[int], str]]:
    nodes = LayoutNodeParser.with_counter(WordCounter(64)).get_nodes_from_documents(documents)
    return [(node.metadata[Field.PAGES], node.get_content()) for node in nodes]


@pytest.mark.parametrize("key", ["page", "page_number", "page_label", "source"])
def test_pages_of_other_readers_are_joined_by_file_and_number(key: str) -> None:
    """Where readers tell the page, paragraphs go on over it and nodes cite it."""
    documents = [
        Document(text=text, metadata={Field.FILE_PATH: "/a.pdf", key: str(n)})
        for n, text in ((4, CUT[0]), (5, CUT[1]))
    ]

    assert parse(*documents) == [([4, 5], " ".join(CUT))]


def test_documents_that_do_not_tell_their_page_stay_alone() -> None:
    """Their order would be a guess."""
    documents = [Document(text=text, metadata={Field.FILE_PATH: "/a.pdf"}) for text in CUT]

    assert [text for _, text in parse(*documents)] == list(CUT)


def test_two_documents_of_one_page_lose_nothing() -> None:
    """A page that came in parts is not joined, and all of it is there."""
    documents = [
        Document(text=text, metadata={Field.FILE_PATH: "/a.pdf", "page_label": "1"}) for text in CUT
    ]

    assert [text for _, text in parse(*documents)] == list(CUT)


def test_the_ids_of_other_readers_pages_stay_when_one_changes() -> None:
    """Their Documents have random ids; file and page decide."""

    def ids(second: str) -> list[str]:
        documents = [
            Document(text=text, metadata={Field.FILE_PATH: "/a.pdf", "page": n})
            for n, text in ((1, "One. " * 20), (2, second))
        ]
        parser = LayoutNodeParser.with_counter(WordCounter(64))
        return [node.node_id for node in parser.get_nodes_from_documents(documents)]

    before, after = ids("Two."), ids("Changed.")
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_markdown_is_cut_without_any_reader() -> None:
    """parse_markdown replaces LlamaIndex's Markdown parsers in a pipeline of one's own."""
    parser = LayoutNodeParser.with_counter(WordCounter(64))
    nodes = parser.parse_markdown("# T\n\n" + "word " * 90, {"team": "blue"})

    assert len(nodes) == 2
    assert all(n.metadata["team"] == "blue" for n in nodes)
    assert all(n.metadata[Field.HEADING_PATH] == ["T"] for n in nodes)
