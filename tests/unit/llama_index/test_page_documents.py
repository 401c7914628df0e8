from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.schema import Document

from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.llama_index.node_parser import LayoutNodeParser

from ...builders import WordCounter

CUT = ("A paragraph that a page break cuts in its", "middle.")


def parse(*documents: Document) -> list[tuple[list[int], str]]:
    nodes = LayoutNodeParser.with_counter(WordCounter(64)).get_nodes_from_documents(documents)
    return [(node.metadata[Field.PAGES], node.get_content()) for node in nodes]


@pytest.mark.parametrize("key", ["page", "page_number", "page_label", "source"])
def test_pages_of_other_readers_are_joined_by_file_and_number(key: str) -> None:
    """If a reader states the page number, paragraphs cross page breaks and nodes cite pages."""
    documents = [
        Document(text=text, metadata={Field.FILE_PATH: "/a.pdf", key: str(n)})
        for n, text in ((4, CUT[0]), (5, CUT[1]))
    ]

    assert parse(*documents) == [([4, 5], " ".join(CUT))]


def test_documents_without_a_page_number_stay_alone() -> None:
    """Their order is not known."""
    documents = [Document(text=text, metadata={Field.FILE_PATH: "/a.pdf"}) for text in CUT]

    assert [text for _, text in parse(*documents)] == list(CUT)


def test_two_documents_of_one_page_lose_nothing() -> None:
    """They are not joined, and no text is lost."""
    documents = [
        Document(text=text, metadata={Field.FILE_PATH: "/a.pdf", "page_label": "1"}) for text in CUT
    ]

    assert [text for _, text in parse(*documents)] == list(CUT)


def test_the_ids_of_other_readers_pages_stay_when_one_changes() -> None:
    """The ids come from file and page, not from the Documents' random ids."""

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
    """parse_markdown works in place of LlamaIndex's Markdown parsers."""
    parser = LayoutNodeParser.with_counter(WordCounter(64))
    nodes = parser.parse_markdown("# T\n\n" + "word " * 90, {"team": "blue"})

    assert len(nodes) == 2
    assert all(n.metadata["team"] == "blue" for n in nodes)
    assert all(n.metadata[Field.HEADING_PATH] == ["T"] for n in nodes)


def node_ids(*documents: Document, **options: Any) -> list[str]:
    parser = LayoutNodeParser.with_counter(WordCounter(64), **options)
    return [node.node_id for node in parser.get_nodes_from_documents(list(documents))]


@pytest.mark.parametrize("metadata", [{}, {Field.FILE_PATH: "/a.pdf", "page": 1}])
def test_equal_documents_have_nodes_of_their_own(metadata: dict[str, Any]) -> None:
    """Their text is the same; they name no file, or the same page."""
    documents = [Document(text="# T\n\n" + "Same. " * 90, metadata=metadata) for _ in range(2)]
    ids = node_ids(*documents, parents="section")

    assert len(ids) == len(set(ids))
    assert ids == node_ids(*documents, parents="section")


@pytest.mark.parametrize("key", ["url", "URL", "source"])
def test_web_pages_with_the_same_text_have_different_ids(key: str) -> None:
    """The id comes from the address, whether they are parsed alone or together."""
    a, b = (Document(text="Same.", metadata={key: f"https://x.org/{n}"}) for n in "ab")

    assert node_ids(a, b) == node_ids(a) + node_ids(b)
    assert len(set(node_ids(a, b))) == 2


def test_front_matter_belongs_to_its_file() -> None:
    """Pages with Roman numbers belong to the same document."""
    documents = [
        Document(
            text=f"Text of {label}.", metadata={Field.FILE_PATH: "/a.pdf", "page_label": label}
        )
        for label in ("i", "ii", "1")
    ]
    parser = LayoutNodeParser.with_counter(WordCounter(64))
    nodes = parser.get_nodes_from_documents(documents)

    assert len({node.metadata[Field.FILE_ID] for node in nodes}) == 1
    assert [node.metadata[Field.PAGE_LABEL] for node in nodes] == ["i", "ii", "1"]


def test_page_numbers_can_be_kept() -> None:
    """With ``furniture="keep"``."""
    documents = [
        Document(
            text=f"Text {'x' * n}.\n\nMore of {n}.\n\nPage {n + 1}",
            metadata={Field.FILE_PATH: "/a.pdf", "page": n + 1},
        )
        for n in range(4)
    ]

    def numbered(furniture: str) -> int:
        parser = LayoutNodeParser.with_counter(WordCounter(64), furniture=furniture)
        nodes = parser.get_nodes_from_documents(documents)
        return sum("Page" in node.get_content() for node in nodes)

    assert (numbered("keep"), numbered("metadata")) == (4, 0)


def test_raw_output_of_the_model_brings_its_boxes() -> None:
    """Servers return DeepSeek-OCR's markers: these become boxes, not text."""
    raw = (
        "<|ref|>title<|/ref|><|det|>[[100, 50, 900, 90]]<|/det|>\n# Pumps\n\n"
        "<|ref|>text<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\nThe pump was new."
    )
    parser = LayoutNodeParser.with_counter(WordCounter(64))
    (node,) = parser.get_nodes_from_documents([Document(text=raw)])

    assert node.get_content() == "# Pumps\n\nThe pump was new."
    assert len(node.metadata[Field.BOXES]) == 2


@pytest.mark.parametrize("opens", ["", "<｜begin▁of▁sentence｜>", "```\n"])
def test_pages_of_the_published_script_are_split(opens: str) -> None:
    """A text is split into its pages at the split line, which is left out."""
    marker = "<|ref|>text<|/ref|><|det|>[[100, 50, 900, 80]]<|/det|>"
    pages = [f"{opens}{marker}\nPage {n} names a buoy." for n in ("one", "two")]
    if opens == "```\n":
        pages = [f"{page}\n```" for page in pages]
    text = "".join(f"{page}\n\n<--- Page Split --->\n" for page in pages)
    nodes = LayoutNodeParser.with_counter(WordCounter(64)).parse_markdown(text)

    assert [node.get_content() for node in nodes] == [
        "Page one names a buoy.",
        "Page two names a buoy.",
    ]
    assert [box["page"] for node in nodes for box in node.metadata[Field.BOXES]] == [1, 2]


def test_plain_markdown_of_the_published_script_is_split() -> None:
    """Its cleaned output has the same lines between pages, but no markers."""
    text = f"{CUT[0]}\n\n<--- Page Split --->\n{CUT[1]}\n\n<--- Page Split --->\n"

    assert parse(Document(text=text)) == [([1, 2], " ".join(CUT))]


def test_nodes_have_the_metadata_of_their_own_page() -> None:
    """Metadata of one page are not copied to the nodes of another."""
    documents = [
        Document(text=f"Body {n}.", metadata={Field.FILE_PATH: "/a.pdf", "page": n, "images": [n]})
        for n in (1, 2, 3)
    ]
    parser = LayoutNodeParser.with_counter(WordCounter(64))
    nodes = parser.get_nodes_from_documents(documents)

    assert [(n.metadata["page"], n.metadata["images"]) for n in nodes] == [
        (1, [1]),
        (2, [2]),
        (3, [3]),
    ]


@pytest.mark.parametrize("labelled", [True, False])
def test_pages_counted_from_zero_are_understood(labelled: bool) -> None:
    """LangChain's loaders count so."""
    documents = [
        Document(
            text=f"Body {n}.",
            metadata={Field.FILE_PATH: "/a.pdf", "page": n}
            | ({Field.PAGE_LABEL: str(n + 1)} if labelled else {}),
        )
        for n in range(3)
    ]

    assert [pages for pages, _ in parse(*documents)] == [[1], [2], [3]]


@pytest.mark.parametrize(
    "text",
    [
        "The model writes `<|ref|>title<|/ref|><|det|>[[1,2,3,4]]<|/det|>` and text.",
        "```\n<|ref|>title<|/ref|><|det|>[[1,2,3,4]]<|/det|>\n```",
    ],
)
def test_a_text_that_quotes_markers_is_not_model_output(text: str) -> None:
    """The markers stay text."""
    ((_, content),) = parse(Document(text=text))

    assert content == text


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        ("hi", {Field.FILE_PATH: "bad\udcff.md"}),
        ("hi \udcff", {}),
        ("hi", {"page_label": "\udcff"}),
    ],
)
def test_names_and_texts_with_lone_surrogates_are_parsed(
    text: str, metadata: dict[str, Any]
) -> None:
    """File names on Linux may hold any bytes."""
    ((_, content),) = parse(Document(text=text, metadata=metadata))

    assert content == text


def test_a_parser_that_lost_its_counter_raises() -> None:
    """Another counter would silently break the cap."""
    parser = LayoutNodeParser.with_counter(WordCounter(64))
    again = LayoutNodeParser.from_dict(parser.to_dict())

    with pytest.raises(ConfigError, match="WordCounter"):
        again.parse_markdown("text")
