"""Decoding pages again from LlamaIndex: a node postprocessor and a tool for agents."""

from __future__ import annotations

import logging
from typing import Any

from llama_index.core.bridge.pydantic import Field as PydanticField
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool

from ..ingest.core.errors import OpticalRagError
from ..ingest.core.records import BlockKind
from ..ingest.core.schema import Field
from ..ingest.markdown.render import block_markdown
from .answer_quality import NOT_LOCATED
from .nodes import add_metadata
from .redecode import PageTarget, Redecoder, Redecoding, redecode_all

__all__ = ["REDECODED_KEY", "SecondLook", "redecode_tool"]

_log = logging.getLogger(__name__)

REDECODED_KEY = "redecoded"
"""Metadata key of a node whose page was decoded again. Its value holds prompt, page, text, boxes,
and the flags that say why the answer may be wrong."""

_PROMPTS = {BlockKind.FIGURE.value: "figure", BlockKind.TABLE.value: "markdown"}


class SecondLook(BaseNodePostprocessor):
    """Decodes the pages of the best hits again, with a prompt chosen by the hit or the question.

    By default it parses figures and transcribes tables again, and appends the answer to the node's
    text. ``prompt="locate:{query}"`` locates the question's phrase instead and adds its boxes to
    the metadata. Doubtful answers are marked as such in the metadata and in the text. If a page's
    tokens are no longer cached, its node stays unchanged and a warning is logged.

    Example:
        >>> engine = index.as_query_engine(node_postprocessors=[SecondLook(redecoder)])
    """

    prompt: str = PydanticField(
        default="auto",
        description="'auto' to choose by the hit's kind, or a prompt; {query} is the question.",
    )
    top_n: int = PydanticField(default=3, ge=1, description="Number of hits to decode again.")
    token_budget: int = PydanticField(
        default=2048, ge=1, description="Maximum number of output tokens per question."
    )
    _redecoder: Redecoder = PrivateAttr()

    def __init__(self, redecoder: Redecoder, **options: Any) -> None:
        super().__init__(**options)
        self._redecoder = redecoder

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serialises."""
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
        updated = list(nodes)
        for (number, _, _), answer in zip(chosen, answers, strict=False):
            if isinstance(answer, OpticalRagError):
                _log.warning("page not decoded again: %s", answer)
            else:
                updated[number] = _add_answer(updated[number], answer)
        return updated

    def _prompt(self, hit: NodeWithScore, question: str) -> str:
        if self.prompt != "auto":
            return self.prompt.replace("{query}", question)
        return _PROMPTS.get(str(hit.node.metadata.get(Field.KIND)), "")


def _target(hit: NodeWithScore) -> PageTarget | None:
    fields = (Field.FILE_ID, Field.FILE_PATH, Field.FILE_SHA256)
    file_id, path, sha256 = (str(hit.node.metadata.get(name) or "") for name in fields)
    pages = hit.node.metadata.get(Field.PAGES)
    page = str(pages[0]) if isinstance(pages, list) and pages else ""
    if not page.isdecimal() or not (file_id or path):
        return None
    return PageTarget(file_id or path, int(page), path, sha256)


def _add_answer(hit: NodeWithScore, answer: Redecoding) -> NodeWithScore:
    """Add the answer to a copy of the node; the given node stays unchanged."""
    text = _answer_text(answer)
    # If nothing was located, the box of every block is the whole page.
    located = () if NOT_LOCATED in answer.flags else answer.blocks
    redecoded = {
        "prompt": answer.prompt,
        "page": answer.page,
        "text": text,
        "boxes": [list(block.box.as_tuple()) for block in located],
        "flags": list(answer.flags),
    }
    node = hit.node.model_copy(deep=True)
    add_metadata(node, REDECODED_KEY, redecoded)
    if isinstance(node, TextNode) and text and answer.prompt != "locate":
        node.set_content(f"{node.get_content(MetadataMode.NONE)}\n\n{_with_doubts(text, answer)}")
    return NodeWithScore(node=node, score=hit.score)


def _answer_text(answer: Redecoding) -> str:
    """The answer as Markdown. From a whole page decoded for its tables, only the tables."""
    is_page = answer.prompt == "markdown"
    blocks = (block for block in answer.blocks if block.table is not None or not is_page)
    return "\n\n".join(filter(None, map(block_markdown, blocks)))


def _with_doubts(text: str, answer: Redecoding) -> str:
    """Append the flags to the text, for language models, which read nothing else."""
    return f"{text}\n\n(doubtful: {', '.join(answer.flags)})" if answer.flags else text


def redecode_tool(redecoder: Redecoder) -> FunctionTool:
    """Make a tool that lets an agent read a page again."""

    def read_page_again(document: str, page: int, prompt: str = "free_ocr") -> str:
        """Read a page of an ingested document again, with another prompt for the OCR model.

        Args:
            document: file name or path, as cited.
            page: page number, starting at 1.
            prompt: markdown, free_ocr, figure (charts to tables), describe, or locate:TEXT.
        """
        try:
            # Language models also send "4"; 4.5 is an error.
            answer = redecoder.redecode(PageTarget(document, int(str(page))), prompt)
        except (OpticalRagError, ValueError) as error:
            return f"cannot read the page again: {error}"
        return _with_doubts(answer.text, answer)

    return FunctionTool.from_defaults(read_page_again)
