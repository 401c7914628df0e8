"""The LlamaIndex node parser: cuts Documents into nodes by their layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from ..chunking.furniture import note_furniture
from ..core.config import ChunkingConfig, PageFurniture
from ..core.errors import ConfigError
from ..core.protocols import TokenCounter
from ..indexing.choice import make_embedder
from .nodes import chunk_nodes
from .page_documents import LAYOUT_KEY, PageDocument, by_file, document_of, pages_of
from .parents import ParentKind, parent_nodes

__all__ = ["LayoutNodeParser"]


def _source(node: BaseNode) -> RelatedNodeInfo:
    """Refer to a page Document. Call once a page: LlamaIndex hashes all of its text each time."""
    try:
        digest = node.hash
    except UnicodeEncodeError:  # the text holds a lone surrogate
        digest = None
    return RelatedNodeInfo(node_id=node.node_id, node_type=ObjectType.DOCUMENT, hash=digest)


class LayoutNodeParser(NodeParser):
    r"""Cuts Documents into nodes by their layout.

    The pages of a file are joined first, so that headings, paragraphs, tables and the PREVIOUS
    and NEXT links cross page breaks. Documents from :class:`DeepSeekOCRReader` bring boxes. Any
    other Document is read as Markdown, without boxes; it is joined with the other pages of its
    file if its metadata name the file and the page. Each node's SOURCE is the page Document that
    it starts on.

    With ``parents``, each section or page of several nodes becomes a node of its own, for
    LlamaIndex's ``AutoMergingRetriever``. These come first; ``get_leaf_nodes`` selects the nodes
    to index.

    Example:
        >>> LayoutNodeParser(max_tokens=256).get_nodes_from_documents(documents)
        >>> LayoutNodeParser().parse_markdown("# Title\n\nText")
    """

    embed_model_name: str | None = PydanticField(
        default=None, description="Embedder whose tokens are counted; None: the default model."
    )
    max_tokens: int | None = PydanticField(
        default=None, description="Hard cap on a node's tokens; None: the embedder's limit."
    )
    target_tokens: int | None = PydanticField(
        default=None, description="Size up to which small neighbours are merged; None: the cap."
    )
    overlap_tokens: int = PydanticField(
        default=0, ge=0, description="Tokens of the previous node to repeat, in whole sentences."
    )
    furniture: PageFurniture = PydanticField(
        default="metadata", description="'keep' leaves running headers and footers in the text."
    )
    parents: ParentKind | None = PydanticField(
        default=None, description="Also make larger nodes: one for each 'section' or 'page'."
    )
    counts_with: str | None = PydanticField(
        default=None,
        description="Set by with_counter: the name of the counter, which is not serialised.",
    )
    # Excluded because llama-index-core 0.14 serialises the function to a dict that its own
    # from_dict refuses. It is not used: our ids come from content.
    id_func: IdFuncCallable = PydanticField(default=default_id_func, exclude=True)
    _counter: TokenCounter | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serialises this parser under."""
        return "LayoutNodeParser"

    @classmethod
    def with_counter(cls, counter: TokenCounter, **options: Any) -> LayoutNodeParser:
        """Make a parser for another embedder, whose tokens ``counter`` counts."""
        parser = cls(counts_with=type(counter).__name__, **options)
        parser._counter = counter
        return parser

    def parse_markdown(self, text: str, metadata: dict[str, Any] | None = None) -> list[BaseNode]:
        """Cut Markdown from any source: with pipe or HTML tables, formulas, code and lists.

        Args:
            text: one page, or a whole document without page breaks.
            metadata: copied to every node.
        """
        return self.get_nodes_from_documents([Document(text=text, metadata=metadata or {})])

    @property
    def counter(self) -> TokenCounter:
        """The token counter. It loads its tokenizer when it is first used.

        Raises:
            ConfigError: the parser was copied or sent to another process, without its counter.
        """
        if self._counter is None and self.counts_with is not None:
            raise ConfigError(
                f"this parser has lost its counter {self.counts_with}: it was copied or sent to"
                " another process; make it there with LayoutNodeParser.with_counter"
            )
        if self._counter is None:
            self._counter = make_embedder(self.embed_model_name)
        return self._counter

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        parsed: list[BaseNode] = []
        # Equal Documents without a file name get the same document id, but their nodes need
        # different ids.
        repeats: Repeats = Counter()
        for members in by_file(nodes):
            parsed += self._file_nodes(members, repeats)
        return parsed

    def _file_nodes(self, members: Sequence[PageDocument], repeats: Repeats) -> list[TextNode]:
        alone = len(members) == 1
        pairs = ((page, one.node) for one in members for page in pages_of(one, alone=alone))
        read = sorted(pairs, key=lambda pair: pair[0].index)
        pages = {page.index: page for page, _ in read}
        config = ChunkingConfig(
            self.max_tokens, self.target_tokens, self.overlap_tokens, self.furniture
        )
        document = document_of(members, list(pages.values()))
        chunks = chunk_pages(document, list(pages.values()), self.counter, config, repeats)
        extra = {
            page.index: {key: value for key, value in node.metadata.items() if key != LAYOUT_KEY}
            for page, node in read
        }
        if self.furniture == "metadata":
            pages = {page.index: page for page in note_furniture(list(pages.values()))}
        made = chunk_nodes(chunks, pages, extra)
        sources = {page.index: _source(node) for page, node in read}
        for node, chunk in zip(made, chunks, strict=True):
            node.relationships[NodeRelationship.SOURCE] = sources[chunk.spans[0].index]
        if self.parents is None:
            return made
        return [*parent_nodes(chunks, made, pages, self.parents, repeats), *made]

    def _postprocess_parsed_nodes(
        self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]
    ) -> list[BaseNode]:
        """Return the nodes as they are: the base class would copy each page's layout into them."""
        return nodes
