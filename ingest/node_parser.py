"""Chunks as LlamaIndex nodes, and the node parser that makes them from the reader's Documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
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
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from .chunking import Repeats, chunk_pages
from .config import ChunkingConfig, ConfigError, PageFurniture
from .embedding import SentenceTransformerEmbedder
from .identity import page_id
from .markdown import PageMarkdown
from .page_documents import LAYOUT_KEY, PageDocument, by_file, document_of, page_of
from .parents import ParentKind, parent_nodes
from .protocols import TokenCounter
from .schema import SCHEMA_VERSION, Field
from .types import Chunk

__all__ = ["LLM_KEYS", "LayoutNodeParser", "chunk_nodes", "node_payload"]

LLM_KEYS = frozenset({Field.FILE_NAME, Field.PAGE_LABEL})
"""Metadata shown to a language model beside the text; nothing is embedded with it."""


def chunk_nodes(
    chunks: Sequence[Chunk],
    pages: Mapping[int, PageMarkdown],
    extra: Mapping[int, Mapping[str, Any]] | None = None,
) -> list[TextNode]:
    """Make LlamaIndex nodes of a document's chunks, linked to their page and their neighbours.

    Args:
        chunks: chunks of one document, in order.
        pages: the document's pages by 0-based index, for their engine and flags.
        extra: metadata of the caller's by 0-based page, copied to the nodes that start there;
            ours wins.
    """
    given = extra or {}
    nodes = [_node(chunk, pages, given.get(chunk.spans[0].index, {})) for chunk in chunks]
    for left, right in pairwise(nodes):
        left.relationships[NodeRelationship.NEXT] = _related(right.node_id)
        right.relationships[NodeRelationship.PREVIOUS] = _related(left.node_id)
    return nodes


def node_payload(node: TextNode) -> dict[str, Any]:
    """The Qdrant payload of a node: LlamaIndex's own form plus the plain text."""
    payload = node_to_metadata_dict(node, remove_text=False, flat_metadata=False)
    return {**payload, Field.TEXT: node.text}


def _node(chunk: Chunk, pages: Mapping[int, PageMarkdown], extra: Mapping[str, Any]) -> TextNode:
    metadata = {**extra, **_chunk_metadata(chunk, pages)}
    keys = list(metadata)
    source = page_id(chunk.document.id, chunk.spans[0].index)
    return TextNode(
        id_=chunk.id,
        text=chunk.embedded_text,
        metadata=metadata,
        # The text carries its context; metadata would only eat the embedder's budget.
        excluded_embed_metadata_keys=keys,
        excluded_llm_metadata_keys=[key for key in keys if key not in LLM_KEYS],
        relationships={NodeRelationship.SOURCE: _related(source, ObjectType.DOCUMENT)},
    )


def _related(node_id: str, kind: ObjectType = ObjectType.TEXT) -> RelatedNodeInfo:
    # Without the neighbour's metadata: LlamaIndex would store all of it a second time.
    return RelatedNodeInfo(node_id=node_id, node_type=kind)


def _chunk_metadata(chunk: Chunk, pages: Mapping[int, PageMarkdown]) -> dict[str, Any]:
    document = chunk.document
    here = [pages[span.index] for span in chunk.spans]
    return {
        Field.FILE_NAME: document.name,
        Field.FILE_PATH: document.uri,
        Field.FILE_ID: document.id,
        Field.FILE_SHA256: document.sha256,
        Field.PAGES: list(chunk.pages),
        Field.PAGE_LABEL: chunk.spans[0].label,
        Field.PAGE_LABELS: [span.label for span in chunk.spans],
        Field.BOXES: [
            {"page": span.index + 1, "box": list(box.as_tuple())}
            for span in chunk.spans
            for box in span.boxes
        ],
        Field.SPANS: [
            {
                "page": span.index + 1,
                "ranges": [list(r) for r in span.ranges],
                "exact": span.exact,
                "blocks": list(span.blocks),
            }
            for span in chunk.spans
        ],
        Field.HEADING_PATH: list(chunk.heading_path),
        Field.SECTION: " > ".join(chunk.heading_path),
        Field.KIND: chunk.kinds[-1].value,
        Field.KINDS: [kind.value for kind in chunk.kinds],
        Field.LANGUAGE: chunk.language,
        Field.ENGINE: here[0].engine,
        Field.FLAGS: sorted({flag for page in here for flag in page.flags}),
        Field.TOKENS: chunk.tokens,
        Field.ORDINAL: chunk.ordinal,
        Field.SCHEMA: SCHEMA_VERSION,
    }


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
