"""Chunks as LlamaIndex nodes, and the node parser that makes them from the reader's Documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.bridge.pydantic import Field as PydanticField
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.node_parser import NodeParser
from llama_index.core.node_parser.node_utils import IdFuncCallable, default_id_func
from llama_index.core.schema import (
    BaseNode,
    Document,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)

from ..chunking.chunker import Repeats, chunk_pages
from ..core.config import ChunkingConfig, PageFurniture
from ..core.errors import ConfigError
from ..core.protocols import TokenCounter
from ..indexing.dense import SentenceTransformerEmbedder
from .nodes import chunk_nodes
from .page_documents import LAYOUT_KEY, PageDocument, by_file, document_of, page_of
from .parents import ParentKind, parent_nodes

__all__ = ["LayoutNodeParser"]


def _without_layout(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != LAYOUT_KEY}


def _source(node: BaseNode) -> RelatedNodeInfo:
    """The Document a node is of; its hash, which LlamaIndex makes of all its text, once."""
    try:
        digest = node.hash
    except UnicodeEncodeError:  # a lone surrogate
        digest = None
    return RelatedNodeInfo(node_id=node.node_id, node_type=ObjectType.DOCUMENT, hash=digest)


class LayoutNodeParser(NodeParser):
    r"""Cuts Documents into nodes by their layout.

    The pages of a file are joined first, so that headings, paragraphs and tables, and PREVIOUS
    and NEXT, reach over page breaks. Documents of :class:`DeepSeekOCRReader` bring boxes; any
    other Document is read as Markdown, without boxes, and joined with the other pages of its
    file if its metadata tell file and page. Every node belongs (SOURCE) to the page Document it
    starts on.

    With ``parents``, sections or pages of several nodes come first as nodes of their own, for
    LlamaIndex's ``AutoMergingRetriever``; ``get_leaf_nodes`` picks those to be indexed.

    Example:
        >>> LayoutNodeParser(max_tokens=256).get_nodes_from_documents(documents)
        >>> LayoutNodeParser().parse_markdown("# Title\n\nText")
    """

    embed_model_name: str | None = PydanticField(
        default=None, description="Embedder whose tokens are counted; None: the default one."
    )
    max_tokens: int | None = PydanticField(
        default=None, description="Hard cap on a node's tokens; None: what the embedder reads."
    )
    target_tokens: int | None = PydanticField(
        default=None, description="Size small neighbours are merged up to; None: the cap."
    )
    overlap_tokens: int = PydanticField(
        default=0, ge=0, description="Tokens of the node before, in whole sentences, repeated."
    )
    furniture: PageFurniture = PydanticField(
        default="metadata", description="'keep': also lines that run along the edges of pages."
    )
    parents: ParentKind | None = PydanticField(
        default=None, description="'section' or 'page': larger nodes above those of one of them."
    )
    counts_with: str | None = PydanticField(
        default=None, description="Set by with_counter: the counter, which is not serialised."
    )
    # Our ids come from content. The base class serialises its id function to a dict that its
    # own from_dict refuses (llama-index-core 0.14).
    id_func: IdFuncCallable = PydanticField(default=default_id_func, exclude=True)
    _counter: TokenCounter | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex serialises this parser."""
        return "LayoutNodeParser"

    @classmethod
    def with_counter(cls, counter: TokenCounter, **options: Any) -> LayoutNodeParser:
        """A parser for another embedder: ``counter`` counts tokens as that one will see them."""
        parser = cls(counts_with=type(counter).__name__, **options)
        parser._counter = counter
        return parser

    def parse_markdown(self, text: str, metadata: dict[str, Any] | None = None) -> list[BaseNode]:
        """Cut Markdown, wherever it comes from: tables as pipes or HTML, formulas, code, lists.

        Args:
            text: one page, or a whole document without page breaks.
            metadata: copied to every node.
        """
        return self.get_nodes_from_documents([Document(text=text, metadata=metadata or {})])

    @property
    def counter(self) -> TokenCounter:
        """What counts the tokens; loads its tokenizer when first used.

        Raises:
            ConfigError: the parser was copied or sent to another process without its counter.
        """
        if self._counter is None and self.counts_with is not None:
            raise ConfigError(
                f"this parser counts with {self.counts_with}, which was lost when it was copied or"
                " sent to another process: make it there, by LayoutNodeParser.with_counter"
            )
        if self._counter is None:
            self._counter = SentenceTransformerEmbedder(self.embed_model_name)
        return self._counter

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        parsed: list[BaseNode] = []
        # Equal Documents that say nothing of their file are the same document to us, but their
        # nodes must not be the same.
        repeats: Repeats = Counter()
        for members in by_file(nodes):
            parsed += self._file_nodes(members, repeats)
        return parsed

    def _file_nodes(self, members: Sequence[PageDocument], repeats: Repeats) -> list[TextNode]:
        placed = {page.index: (page, m.node) for m in members for page in (page_of(m),)}
        pages = {index: placed[index][0] for index in sorted(placed)}
        config = ChunkingConfig(
            self.max_tokens, self.target_tokens, self.overlap_tokens, self.furniture
        )
        document = document_of(members, list(pages.values()))
        chunks = chunk_pages(document, list(pages.values()), self.counter, config, repeats)
        extra = {index: _without_layout(node.metadata) for index, (_, node) in placed.items()}
        made = chunk_nodes(chunks, pages, extra)
        sources = {index: _source(node) for index, (_, node) in placed.items()}
        for node, chunk in zip(made, chunks, strict=True):
            node.relationships[NodeRelationship.SOURCE] = sources[chunk.spans[0].index]
        if self.parents is None:
            return made
        return [*parent_nodes(chunks, made, pages, self.parents, repeats), *made]

    def _postprocess_parsed_nodes(
        self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]
    ) -> list[BaseNode]:
        """Leave the nodes alone: the base class would copy each page's layout into them."""
        return nodes
