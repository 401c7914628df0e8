"""Decoding pages again from LlamaIndex, for hits and for agents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from opticalrag.ingest.core.schema import Field
from opticalrag.retrievers.redecode import Redecoder
from opticalrag.retrievers.second_look import REDECODED_KEY, SecondLook, redecode_tool

from ..engines.deepseek_ocr.test_engine import MARK, ScriptedModel, always
from .test_redecode import TABLE, encode, file, redecoder

__all__ = ["file", "redecoder"]


def node(file: Path, kind: str, page: int = 1) -> NodeWithScore:
    """A retrieved node."""
    facts = {Field.FILE_PATH: str(file), Field.FILE_ID: str(file), Field.PAGES: [page]}
    return NodeWithScore(node=TextNode(text="Production.", metadata={**facts, Field.KIND: kind}))


def look(redecoder: Redecoder, *nodes: NodeWithScore, **options: Any) -> list[NodeWithScore]:
    """The nodes after a second look."""
    looking = SecondLook(redecoder, **options)
    return looking.postprocess_nodes(list(nodes), query_bundle=QueryBundle("pump"))


def test_a_table_hit_gets_its_table_again(redecoder: Redecoder, file: Path) -> None:
    """Only the table is added, as Markdown; text hits stay unchanged."""
    encode(redecoder, file)
    table, text = look(redecoder, node(file, "table"), node(file, "text"))

    assert "| May | 3.1 |" in table.node.get_content()
    assert "Before." not in table.node.get_content()
    assert table.node.metadata[REDECODED_KEY]["prompt"] == "markdown"
    assert REDECODED_KEY not in text.node.metadata


def test_a_figure_hit_is_parsed(redecoder: Redecoder, file: Path) -> None:
    """With the prompt for figures."""
    encode(redecoder, file)
    (figure,) = look(redecoder, node(file, "figure"))
    assert figure.node.metadata[REDECODED_KEY]["prompt"] == "figure"


def test_the_question_can_be_located(redecoder: Redecoder, file: Path) -> None:
    """Boxes go to the metadata; the text stays unchanged."""
    encode(redecoder, file)
    asked = "locate:{query}"
    located = Redecoder(redecoder.cache, ScriptedModel(always(MARK.format("Pump", ""))))
    (found,) = look(located, node(file, "text"), prompt=asked)
    assert found.node.metadata[REDECODED_KEY]["prompt"] == "locate"
    assert found.node.metadata[REDECODED_KEY]["boxes"]
    assert found.node.metadata[REDECODED_KEY]["flags"] == []
    assert found.node.get_content() == "Production."


def test_what_was_not_located_has_no_boxes(redecoder: Redecoder, file: Path) -> None:
    """The box of the whole page locates nothing."""
    encode(redecoder, file)
    (found,) = look(redecoder, node(file, "text"), prompt="locate:{query}")
    assert found.node.metadata[REDECODED_KEY]["boxes"] == []
    assert found.node.metadata[REDECODED_KEY]["flags"] == ["not_located"]


def test_a_doubtful_answer_says_so_in_its_text(redecoder: Redecoder, file: Path) -> None:
    """Language models do not see the metadata."""
    encode(redecoder, file)
    cut = Redecoder(redecoder.cache, ScriptedModel(always(TABLE, "length")))
    (table,) = look(cut, node(file, "table"))
    assert table.node.metadata[REDECODED_KEY]["flags"] == ["truncated"]
    assert table.node.get_content().endswith("| May | 3.1 |\n\n(doubtful: truncated)")
    said = redecode_tool(cut).call(document="a.pdf", page=1).content
    assert said == f"{TABLE}\n\n(doubtful: truncated)"


def test_the_token_budget_limits_the_decoded_pages(redecoder: Redecoder, file: Path) -> None:
    """Each scripted answer takes three tokens."""
    encode(redecoder, file)
    seen = look(redecoder, *[node(file, "table")] * 3, token_budget=4)
    assert [REDECODED_KEY in hit.node.metadata for hit in seen] == [True, True, False]
    seen = look(redecoder, *[node(file, "table")] * 3, top_n=1)
    assert [REDECODED_KEY in hit.node.metadata for hit in seen] == [True, False, False]


def test_a_page_without_tokens_leaves_its_node_alone(
    redecoder: Redecoder, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning is logged, and the other pages are decoded."""
    encode(redecoder, file)
    gone, kept = look(redecoder, node(file, "table", 2), node(file, "table"))
    assert REDECODED_KEY not in gone.node.metadata
    assert REDECODED_KEY in kept.node.metadata
    assert "page not decoded again" in caplog.text


@pytest.mark.parametrize("pages", ["[1]", [None], 3, []])
def test_a_node_without_pages_is_left_alone(redecoder: Redecoder, file: Path, pages: Any) -> None:
    """Other tools write other metadata."""
    other = node(file, "table")
    other.node.metadata[Field.PAGES] = pages
    (seen,) = look(redecoder, other)
    assert REDECODED_KEY not in seen.node.metadata


def test_an_agent_can_read_a_page_again(redecoder: Redecoder, file: Path) -> None:
    """Errors are returned as text, not raised."""
    encode(redecoder, file)
    tool = redecode_tool(redecoder)
    call: Callable[..., Any] = tool.call
    assert call(document="a.pdf", page=1, prompt="free_ocr").content == TABLE
    assert call(document="a.pdf", page="1").content == TABLE
    for wrong in ({"page": 7}, {"page": "x"}, {"page": 1.5}, {"document": "x" * 5000}):
        assert (
            "cannot read the page again"
            in call(**{"document": "a.pdf", "page": 1, **wrong}).content
        )
    assert tool.metadata.name == "read_page_again"
