"""Chunks as LlamaIndex nodes, and the node parser that makes them from the reader's Documents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
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

from .chunking import chunk_pages
from .config import ChunkingConfig
from .embedding import SentenceTransformerEmbedder
from .identity import document_id, page_id
from .markdown import PageMarkdown
from .protocols import TokenCounter
from .scanning import scan_markdown
from .schema import SCHEMA_VERSION, Field
from .types import Chunk, DocumentRef

__all__ = ["LAYOUT_KEY", "LLM_KEYS", "LayoutNodeParser", "chunk_nodes", "node_payload"]

LAYOUT_KEY = "layout"
"""Metadata key under which the reader keeps where each block stands."""

LLM_KEYS = frozenset({Field.FILE_NAME, Field.PAGE_LABEL})
"""Metadata shown to a language model beside the text; nothing is embedded with it."""


def chunk_nodes(
    chunks: Sequence[Chunk],
    pages: Mapping[int, PageMarkdown],
    extra: Mapping[str, Any] | None = None,
) -> list[TextNode]:
    """Make LlamaIndex nodes of a document's chunks, linked to their page and their neighbours.

    Args:
        chunks: chunks of one document, in order.
        pages: the document's pages by 0-based index, for their engine and flags.
        extra: metadata of the caller's, copied to every node; ours wins.
    """
    nodes = [_node(chunk, pages, extra or {}) for chunk in chunks]
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


class LayoutNodeParser(NodeParser):
    """Cuts Documents into nodes by their layout.

    The pages of a file are joined first, so that headings, and PREVIOUS and NEXT, reach over
    page breaks. Documents of :class:`DeepSeekOCRReader` bring boxes; any other Document is read
    as Markdown, without boxes. Every node belongs (SOURCE) to the page Document it starts on.

    Example:
        >>> LayoutNodeParser(max_tokens=256).get_nodes_from_documents(documents)
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
    # Our ids come from content. The base class serialises its id function to a dict that its
    # own from_dict refuses (llama-index-core 0.14).
    id_func: IdFuncCallable = PydanticField(default=default_id_func, exclude=True)
    _counter: TokenCounter | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex serialises this parser."""
        return "LayoutNodeParser"

    @property
    def counter(self) -> TokenCounter:
        """What counts the tokens; loads its tokenizer when first used."""
        if self._counter is None:
            self._counter = SentenceTransformerEmbedder(self.embed_model_name)
        return self._counter

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        parsed: list[BaseNode] = []
        for members in _by_file(nodes):
            parsed += self._file_nodes(members)
        return parsed

    def _file_nodes(self, members: Sequence[BaseNode]) -> list[TextNode]:
        pages = sorted(
            (_page(node, place) for place, node in enumerate(members)), key=lambda p: p.index
        )
        config = ChunkingConfig(self.max_tokens, self.target_tokens)
        chunks = chunk_pages(_document(members, pages), pages, self.counter, config)
        extra = {k: v for k, v in members[0].metadata.items() if k != LAYOUT_KEY}
        made = chunk_nodes(chunks, {page.index: page for page in pages}, extra)
        sources = {_page(node, place).index: node for place, node in enumerate(members)}
        for node, chunk in zip(made, chunks, strict=True):
            source = sources[chunk.spans[0].index]
            node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(
                node_id=source.node_id, node_type=ObjectType.DOCUMENT, hash=source.hash
            )
        return made

    def _postprocess_parsed_nodes(
        self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]
    ) -> list[BaseNode]:
        """Leave the nodes alone: the base class would copy each page's layout into them."""
        return nodes


def _by_file(nodes: Sequence[BaseNode]) -> Iterator[list[BaseNode]]:
    """Group page Documents of the same file; others stay alone, in the order given."""
    order: dict[str, int] = {}
    for node in nodes:
        order.setdefault(_file_key(node), len(order))
    ranked = sorted(nodes, key=lambda node: order[_file_key(node)])
    for _, group in groupby(ranked, key=_file_key):
        yield list(group)


def _file_key(node: BaseNode) -> str:
    return str(node.metadata.get(Field.FILE_ID) or node.node_id)


def _page(node: BaseNode, place: int) -> PageMarkdown:
    text = node.get_content()
    layout = node.metadata.get(LAYOUT_KEY)
    if isinstance(layout, Mapping):
        try:
            return PageMarkdown.from_layout(text, layout)
        except (KeyError, ValueError, TypeError):
            # Another transformation changed the text; read it as it is now.
            place = int(layout.get("index", place))
    label = str(node.metadata.get(Field.PAGE_LABEL) or place + 1)
    return scan_markdown(text, index=place, label=label)


def _document(members: Sequence[BaseNode], pages: Sequence[PageMarkdown]) -> DocumentRef:
    first = members[0].metadata
    text = "\f".join(page.text for page in pages).encode("utf-8", "surrogatepass")
    sha = str(first.get(Field.FILE_SHA256) or hashlib.sha256(text).hexdigest())
    uri = str(first.get(Field.FILE_PATH) or "")
    # Foreign readers give a file's pages one path and random ids: only all three tell pages
    # apart and stay the same from run to run.
    place = f"{uri}\n{pages[0].label}\n{sha}"
    return DocumentRef(
        id=str(first.get(Field.FILE_ID) or document_id(place, sha)),
        sha256=sha,
        name=str(first.get(Field.FILE_NAME) or ""),
        uri=uri,
        page_count=len(pages),
    )
