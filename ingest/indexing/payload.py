"""Chunks as payloads of points, in the form that LlamaIndex reads, without LlamaIndex."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..core.identity import page_id
from ..core.records import BlockKind, Chunk
from ..core.schema import SCHEMA_VERSION, Field
from ..markdown.render import FURNITURE, PageMarkdown

__all__ = ["LLM_KEYS", "Prepared", "chunk_metadata", "prepare"]

LLM_KEYS: Final = frozenset({Field.FILE_NAME, Field.PAGE_LABEL})
"""Metadata that a language model sees beside the text. No metadata is embedded."""

_BESIDE: Final = FURNITURE | {BlockKind.COMMENT}
# Values of LlamaIndex's NodeRelationship and ObjectType.
_SOURCE, _PREVIOUS, _NEXT = "1", "2", "3"
_TEXT, _DOCUMENT = "1", "4"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A point without its vectors: its id (a uuid), the text to embed and the payload."""

    id: str
    text: str
    payload: dict[str, object]


def prepare(
    chunks: Sequence[Chunk],
    pages: Mapping[int, PageMarkdown],
    stamp: Mapping[str, object],
    previous: Chunk | None = None,
    following: Chunk | None = None,
) -> list[Prepared]:
    """Prepare consecutive chunks of a document, each linked to its page and its neighbours.

    ``pages`` are by 0-based index. ``stamp`` holds further fields of each payload. ``previous`` and
    ``following`` are the chunks before and after these; None at the ends of the document.
    """
    around = [previous, *chunks, following]
    return [
        Prepared(one.id, one.embedded_text, {**_payload(one, pages, left, right), **stamp})
        for left, one, right in zip(around, chunks, around[2:], strict=False)
    ]


def chunk_metadata(chunk: Chunk, pages: Mapping[int, PageMarkdown]) -> dict[str, Any]:
    """Collect what is recorded about a chunk; see :class:`.schema.Field` for each field."""
    document = chunk.document
    chunk_pages = [pages[span.index] for span in chunk.spans]
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
        Field.KIND: _main_kind(chunk.kinds).value,
        Field.KINDS: [kind.value for kind in chunk.kinds],
        Field.LANGUAGE: chunk.language,
        Field.ENGINE: chunk_pages[0].engine,
        Field.FLAGS: sorted({flag for page in chunk_pages for flag in page.flags}),
        Field.FURNITURE: list(dict.fromkeys(t for page in chunk_pages for t in page.furniture)),
        Field.TOKENS: chunk.tokens,
        Field.ORDINAL: chunk.ordinal,
        Field.SCHEMA: SCHEMA_VERSION,
    }


def _main_kind(kinds: Sequence[BlockKind]) -> BlockKind:
    """The last kind of a chunk that is not that of a comment or of a line at the page's edge."""
    return next((k for k in reversed(kinds) if k not in _BESIDE), kinds[-1])


def _payload(
    chunk: Chunk, pages: Mapping[int, PageMarkdown], previous: Chunk | None, following: Chunk | None
) -> dict[str, Any]:
    """Write a chunk as LlamaIndex's ``node_to_metadata_dict`` writes its node, plus the text."""
    metadata = chunk_metadata(chunk, pages)
    source = page_id(chunk.document.id, chunk.spans[0].index)
    relationships = {_SOURCE: _related(source, _DOCUMENT)}
    if previous is not None:
        relationships[_PREVIOUS] = _related(previous.id, _TEXT)
    if following is not None:
        relationships[_NEXT] = _related(following.id, _TEXT)
    return {
        **metadata,
        "_node_content": _node_content(chunk, metadata, relationships),
        "_node_type": "TextNode",
        "document_id": source,
        Field.DOC_ID: source,
        "ref_doc_id": source,
        Field.TEXT: chunk.embedded_text,
    }


def _node_content(
    chunk: Chunk, metadata: Mapping[str, Any], relationships: Mapping[str, Any]
) -> str:
    """Write the JSON of a ``TextNode``, field for field as LlamaIndex 0.14 does."""
    keys = list(metadata)
    node = {
        "id_": chunk.id,
        "embedding": None,
        "metadata": metadata,
        # The text already carries its context: metadata would only use up the embedder's tokens.
        "excluded_embed_metadata_keys": keys,
        "excluded_llm_metadata_keys": [key for key in keys if key not in LLM_KEYS],
        "relationships": relationships,
        "metadata_template": "{key}: {value}",
        "metadata_separator": "\n",
        "text": chunk.embedded_text,
        "mimetype": "text/plain",
        "start_char_idx": None,
        "end_char_idx": None,
        "text_template": "{metadata_str}\n\n{content}",
        "class_name": "TextNode",
    }
    return json.dumps(node, ensure_ascii=False)


def _related(node_id: str, kind: str) -> dict[str, object]:
    # Without the neighbour's metadata, which would be stored a second time.
    return {
        "node_id": node_id,
        "node_type": kind,
        "metadata": {},
        "hash": None,
        "class_name": "RelatedNodeInfo",
    }
