"""Texts of question sets with their vectors: ours and LlamaIndex's, kept in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pymupdf
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode
from numpy.typing import NDArray

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.chunking.furniture import write_pages
from opticalrag.ingest.core.config import ChunkingConfig, EngineConfig
from opticalrag.ingest.core.records import ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.choice import make_engine
from opticalrag.ingest.indexing.sentence_transformer import SentenceTransformerEmbedder

from .question_sets import QuestionSet

__all__ = ["CachedEmbedder", "Text", "llama_index_texts", "our_texts"]

_EMBEDDED_AT_ONCE: Final = 512


@dataclass(frozen=True)
class Text:
    """An embedded text of a file, its 1-based pages, and the headings above it."""

    file: str
    pages: tuple[int, ...]
    text: str
    headings: tuple[str, ...] = ()


class CachedEmbedder(SentenceTransformerEmbedder):
    """The default embedder; keeps every vector in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._cache = folder / "vectors.npz"
        self._vectors: dict[str, NDArray[np.float32]] = {}
        if self._cache.is_file():
            with np.load(self._cache) as stored:
                self._vectors = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts. Shape: ``[texts, dimension]``, unit length."""
        keys = [_digest(text) for text in texts]
        new = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._vectors}
        for start in range(0, len(new), _EMBEDDED_AT_ONCE):
            part = dict(list(new.items())[start : start + _EMBEDDED_AT_ONCE])
            made = super().embed_documents(list(part.values()))
            self._vectors.update(zip(part, made, strict=True))
            np.savez(
                self._cache, keys=list(self._vectors), vectors=np.stack([*self._vectors.values()])
            )
        return np.stack([self._vectors[key] for key in keys])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question: this model embeds it as it embeds a document."""
        vector: NDArray[np.float32] = self.embed_documents([text])[0]
        return vector


def our_texts(questions: QuestionSet, folder: Path) -> list[Text]:
    """Parse and chunk the files as ``opticalrag ingest`` does; keep the chunks in a folder."""
    return _kept(folder / f"{questions.name}.json", lambda: _chunked(questions))


def _chunked(questions: QuestionSet) -> list[Text]:
    engine, counter = make_engine(EngineConfig(name="layout")), SentenceTransformerEmbedder()
    texts = []
    for file in questions.files:
        with open_document(file) as document:
            outcomes = list(engine.parse(document.tasks()))
            ref = document.ref
        parsed = [one for one in outcomes if isinstance(one, ParsedPage)]
        pages = list(write_pages(parsed, ChunkingConfig().furniture))
        texts += [
            Text(file.name, chunk.pages, chunk.embedded_text, chunk.heading_path)
            for chunk in chunk_pages(ref, pages, counter)
        ]
    engine.close()
    return texts


def llama_index_texts(
    questions: QuestionSet, folder: Path, size: int, overlap: int, with_name: bool
) -> list[Text]:
    """Cut the text of each page with SentenceSplitter.

    Embedded with the page's metadata, as LlamaIndex does by default (path and page label); or
    with the file's name in front.
    """

    def cut() -> list[Text]:
        splitter = SentenceSplitter(chunk_size=size, chunk_overlap=overlap)
        texts = []
        for file in questions.files:
            for number, page in enumerate(pymupdf.open(file), start=1):
                about = (
                    {"file_name": file.name}
                    if with_name
                    else {"page_label": str(number), "file_path": str(file)}
                )
                nodes = splitter.get_nodes_from_documents(
                    [Document(text=page.get_text(), metadata=about)]
                )
                texts += [
                    Text(file.name, (number,), _embedded(node, file.name if with_name else None))
                    for node in nodes
                ]
        return texts

    name = f"{questions.name}-llama-index-{size}-{overlap}-{'name' if with_name else 'default'}"
    return _kept(folder / f"{name}.json", cut)


def _embedded(node: Any, name: str | None) -> str:
    if name is None:
        return str(node.get_content(MetadataMode.EMBED))
    return f"{name}\n{node.get_content(MetadataMode.NONE)}"


def _kept(file: Path, make: Callable[[], list[Text]]) -> list[Text]:
    if not file.is_file():
        rows = [[t.file, t.pages, t.text, t.headings] for t in make()]
        file.write_text(json.dumps(rows), encoding="utf-8", errors="replace")
    rows = json.loads(file.read_text(encoding="utf-8"))
    return [Text(name, tuple(pages), text, tuple(path)) for name, pages, text, path in rows]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
