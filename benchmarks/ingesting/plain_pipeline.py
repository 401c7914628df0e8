"""The pipeline that people build without OpticalRAG: pymupdf4llm, LlamaIndex and Qdrant.

    python -m benchmarks.ingesting.plain_pipeline FILE STORE MODEL

Reads a PDF, splits its pages into pieces of 256 tokens, embeds them, and writes them to a Qdrant
folder, with the classes that LlamaIndex's documentation shows.
"""

from __future__ import annotations

import sys
from typing import Any

import pymupdf4llm
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import PrivateAttr
from qdrant_client import QdrantClient
from sentence_transformers import SentenceTransformer

_TOKENS = 256
"""The limit of all-MiniLM-L6-v2, and so the chunk size of ``opticalrag ingest``."""


class _Embedding(BaseEmbedding):
    """What ``llama-index-embeddings-huggingface`` does, which needs a model hub."""

    _model: SentenceTransformer = PrivateAttr()

    def __init__(self, model: SentenceTransformer, **options: Any) -> None:
        super().__init__(embed_batch_size=32, **options)
        self._model = model

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._model.encode(texts, show_progress_bar=False).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def main(file: str, store: str, folder: str) -> int:
    """Run the pipeline."""
    pages = pymupdf4llm.to_markdown(file, page_chunks=True)
    documents = [
        Document(text=page["text"], metadata={"page": number, "file": file})
        for number, page in enumerate(pages, start=1)
    ]
    model = SentenceTransformer(folder, device="cpu")
    splitter = SentenceSplitter(
        chunk_size=_TOKENS, chunk_overlap=20, tokenizer=model.tokenizer.tokenize
    )
    vectors = QdrantVectorStore("plain", client=QdrantClient(path=store))
    pipeline = IngestionPipeline(
        transformations=[splitter, _Embedding(model)], vector_store=vectors
    )
    print(len(pipeline.run(documents=documents)), "nodes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
