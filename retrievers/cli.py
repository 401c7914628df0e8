"""The ``opticalrag`` command: everything ingest can do, and search."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from ..ingest.cli import (
    DEFAULT_COLLECTION,
    DEFAULT_STORE,
    ApiKeyOption,
    CollectionOption,
    JsonOption,
    ModelOption,
    QdrantOption,
    app,
)
from ..ingest.config import StoreConfig
from ..ingest.console import commands, emit, emit_json, notes

__all__ = ["app", "main"]


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Hits to show.")] = 5,
    mode: Annotated[
        Literal["hybrid", "dense", "sparse"], typer.Option(help="Which vectors to use.")
    ] = "hybrid",
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    api_key: ApiKeyOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the chunks that answer a question, with file, page and boxes."""
    with commands(as_json):
        from ..ingest.embedding import SentenceTransformerEmbedder
        from ..ingest.sparse import Bm25Encoder
        from ..ingest.wiring import open_store
        from .query import Query
        from .search import search as find

        query = Query(text=question, top_k=top_k, mode=mode)
        with open_store(StoreConfig(qdrant, collection, api_key)) as store:
            hits = find(store, SentenceTransformerEmbedder(model), Bm25Encoder(), query)
        if as_json:
            emit_json({"hits": [_hit_to_json(hit) for hit in hits]})
            return
        for rank, hit in enumerate(hits, start=1):
            emit(_hit_to_text(rank, hit))
        if not hits:
            notes.print("nothing found", markup=False)


def _hit_to_json(hit: Any) -> dict[str, Any]:
    return {
        "file": hit.file_path or hit.file_name,
        "page": hit.pages[0] if hit.pages else None,
        "pages": list(hit.pages),
        "page_label": hit.page_labels[0] if hit.page_labels else None,
        "boxes": [{"page": page, "box": list(box.as_tuple())} for page, box in hit.boxes],
        "heading_path": list(hit.heading_path),
        "kind": hit.kind,
        "score": hit.score,
        "text": hit.text,
    }


def _hit_to_text(rank: int, hit: Any) -> str:
    from .citations import cite

    body = "\n".join(f"    {line}" for line in hit.text.splitlines())
    return f"{rank}. {cite(hit)}\n{body}\n"


def main() -> None:
    """Entry point of the ``opticalrag`` command."""
    app(prog_name="opticalrag")
