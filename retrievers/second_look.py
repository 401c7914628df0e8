"""Re-decoding inside LlamaIndex: a node postprocessor and an agent's tool."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import Field as PydanticField
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool

from ..ingest.core.errors import OpticalRagError
from ..ingest.core.records import Block, BlockKind
from ..ingest.core.schema import Field
from .answer_flags import NOT_LOCATED
from .redecode import PageTarget, Redecoder, Redecoding, redecode_all

__all__ = ["REDECODED_KEY", "SecondLook", "redecode_tool"]

_log = logging.getLogger(__name__)

REDECODED_KEY = "redecoded"
"""Metadata of a node whose page was decoded again: prompt, page, text, boxes, and flags that say
why these may be wrong."""

BY_KIND = {BlockKind.FIGURE.value: "figure", BlockKind.TABLE.value: "markdown"}


class SecondLook(BaseNodePostprocessor):
    """Decodes the pages of the best hits again, with a prompt that fits the hit or the question.

    Figures are parsed and tables are written once more; what comes is added to the node's text.
    ``prompt="locate:{query}"`` looks for the question's phrase instead and adds its boxes to the
    metadata. What is doubtful says so, in the metadata and in the text. A page whose tokens are
    gone leaves its node as it is, with a warning.

    Example:
        >>> engine = index.as_query_engine(node_postprocessors=[SecondLook(redecoder)])
    """

    prompt: str = PydanticField(
        default="auto",
        description="'auto' by the hit's kind, or a prompt in which {query} is the question.",
    )
    top_n: int = PydanticField(default=3, ge=1, description="How many hits are looked at again.")
    token_budget: int = PydanticField(
        default=2048, ge=1, description="Tokens that may be written for one question."
    )
    _redecoder: Redecoder = PrivateAttr()

    def __init__(self, redecoder: Redecoder, **options: Any) -> None:
        super().__init__(**options)
        self._redecoder = redecoder

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return "SecondLook"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        question = query_bundle.query_str if query_bundle else ""
        chosen = [
            (number, target, prompt)
            for number, hit in enumerate(nodes[: self.top_n])
            if (prompt := self._prompt(hit, question)) and (target := _target(hit))
        ]
        asked = [(target, prompt) for _, target, prompt in chosen]
        answers = redecode_all(self._redecoder, asked, self.token_budget)
        seen = list(nodes)
        for (number, _, _), answer in zip(chosen, answers, strict=False):
            if isinstance(answer, OpticalRagError):
                _log.warning("not looked at again: %s", answer)
            else:
                seen[number] = _with(seen[number], answer)
        return seen

    def _prompt(self, hit: NodeWithScore, question: str) -> str:
        if self.prompt != "auto":
            return self.prompt.replace("{query}", question)
        return BY_KIND.get(str(hit.node.metadata.get(Field.KIND)), "")


def _target(hit: NodeWithScore) -> PageTarget | None:
    facts = hit.node.metadata
    pages = facts.get(Field.PAGES)
    page = str(pages[0]) if isinstance(pages, list) and pages else ""
    document = facts.get(Field.FILE_ID) or facts.get(Field.FILE_PATH)
    if not page.isdecimal() or not document:
        return None
    path, sha256 = facts.get(Field.FILE_PATH), facts.get(Field.FILE_SHA256)
    return PageTarget(str(document), int(page), str(path or ""), str(sha256 or ""))


def _with(hit: NodeWithScore, answer: Redecoding) -> NodeWithScore:
    """The hit with what was read; the node that came from the store is not changed."""
    text = _wanted_text(answer)
    found = {
        "prompt": answer.prompt,
        "page": answer.page,
        "text": text,
        "boxes": [list(block.box.as_tuple()) for block in _placed(answer)],
        "flags": list(answer.flags),
    }
    node = hit.node.model_copy(deep=True)
    node.metadata[REDECODED_KEY] = found
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, REDECODED_KEY]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, REDECODED_KEY]
    if isinstance(node, TextNode) and text and answer.prompt != "locate":
        node.set_content(f"{node.get_content(MetadataMode.NONE)}\n\n{_with_doubts(text, answer)}")
    return NodeWithScore(node=node, score=hit.score)


def _wanted_text(answer: Redecoding) -> str:
    """Of a page written again for a table: its tables only."""
    from ..ingest.markdown.render import block_markdown

    tables = [block for block in answer.blocks if block.table is not None]
    blocks: Sequence[Any] = tables if answer.prompt == "markdown" else answer.blocks
    return "\n\n".join(filter(None, map(block_markdown, blocks)))


def _placed(answer: Redecoding) -> Sequence[Block]:
    """Blocks whose boxes say something: what was not located has the whole page for its place."""
    return () if NOT_LOCATED in answer.flags else answer.blocks


def _with_doubts(text: str, answer: Redecoding) -> str:
    """For who reads the text alone, as language models do."""
    return f"{text}\n\n(doubtful: {', '.join(answer.flags)})" if answer.flags else text


def redecode_tool(redecoder: Redecoder) -> FunctionTool:
    """A tool with which an agent reads a page again.

    Args:
        redecoder: decodes stored pages.
    """

    def read_page_again(document: str, page: int, prompt: str = "free_ocr") -> str:
        """Read a page of an ingested document again, with another question to the OCR model.

        Args:
            document: file name or path, as cited.
            page: page number, from 1.
            prompt: markdown, free_ocr, figure (charts to tables), describe, or locate:TEXT.
        """
        try:
            # Language models also write "4"; of 4.5 no page can be made.
            answer = redecoder.redecode(PageTarget(document, int(str(page))), prompt)
        except (OpticalRagError, ValueError) as error:
            return f"cannot be read again: {error}"
        return _with_doubts(answer.text, answer)

    return FunctionTool.from_defaults(read_page_again)
