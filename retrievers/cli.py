"""The ``opticalrag`` command: adds the commands that search to those of ingest."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from ..ingest.cli.app import app
from ..ingest.cli.cache import open_tokens
from ..ingest.cli.console import Exit, commands, emit_json, emit_text, notes, plain
from ..ingest.cli.embedding_options import EmbeddingOptions
from ..ingest.cli.options import (
    DEFAULT_TOKENS,
    DeviceOption,
    JsonOption,
    MaxOutputTokensOption,
    OcrModelOption,
    PasswordOption,
    PromptOption,
    StoreOptions,
    TokensOption,
    deepseek_option,
    grouped,
    output_option,
)
from ..ingest.core.config import OpticalConfig
from ..ingest.core.errors import SourceError
from .evaluation_cli import evaluate
from .options import ModeOption, RerankerOption, SkipFlaggedOption, search_option

__all__ = ["app", "main"]

# New objects between two garbage collections. Libraries make many while they are imported, and keep
# them: with Python's default of 700 to 2,000, collecting takes a seventh of the time of `status`.
_GARBAGE: Final = 20_000


@app.command()
@grouped
def search(
    question: Annotated[str, typer.Argument(help="Question or keywords.")],
    *,
    top_k: Annotated[int, search_option(min=1, max=1000, help="Number of hits.")] = 5,
    mode: ModeOption = "hybrid",
    per_page: Annotated[
        int | None, search_option(min=1, help="Maximum number of hits per page.")
    ] = None,
    skip_flagged: SkipFlaggedOption = False,
    context: Annotated[
        Literal["neighbours", "section", "page"] | None,
        search_option(help="Add the text around each hit."),
    ] = None,
    embedding: EmbeddingOptions,
    reranker: RerankerOption = None,
    store: StoreOptions,
    pictures: Annotated[
        Path | None, output_option(help="Folder for page pictures with the hits' boxes.")
    ] = None,
    password: PasswordOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find chunks that answer a question, and cite their files, pages and boxes."""
    with commands(as_json):
        from ..ingest.assembly import open_store
        from ..ingest.indexing.given import as_embedder
        from ..ingest.indexing.sparse import Bm25Encoder
        from .hybrid_search import search as find
        from .query import Query
        from .rerank import CrossEncoderReranker

        query = Query(
            question, top_k, mode, per_page=per_page, skip_flagged=skip_flagged, context=context
        )
        embedder = as_embedder(embedding.embedder())
        reads = CrossEncoderReranker(reranker) if reranker else None
        with open_store(store.config()) as opened:
            hits = find(opened, embedder, Bm25Encoder(), query, reads)
        drawn, failures = _draw(hits, pictures, password) if pictures else ({}, {})
        if as_json:
            emit_json({"hits": [_hit_to_json(hit, drawn, failures) for hit in hits]})
        else:
            for rank, hit in enumerate(hits, start=1):
                emit_text(_hit_to_text(rank, hit, drawn))
        for message in dict.fromkeys(failures.values()):
            notes.print(f"no picture: {message}", style="red", markup=False, soft_wrap=True)
        if not hits:
            notes.print("nothing found", markup=False)
    raise SystemExit(Exit.PARTIAL if failures else Exit.OK)


def _draw(
    hits: Sequence[Any], folder: Path, password: str | None
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Write pictures of the hits' pages; returns files and errors, both by id of the hit."""
    from .pictures import page_pictures

    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, list[str]] = {}
    failures: dict[str, str] = {}
    for rank, hit in enumerate(hits, start=1):
        stem = re.sub(r"[^\w-]+", "_", Path(hit.file_name).stem)[:80]
        try:
            for picture in page_pictures(hit, password=password):
                file = folder / f"{rank:02}-{stem}-p{picture.page}.png"
                file.write_bytes(picture.png())
                drawn.setdefault(hit.id, []).append(str(file))
        except SourceError as error:
            failures[hit.id] = str(error)
    return drawn, failures


app.command("eval")(evaluate)


@app.command()
def redecode(
    document: Annotated[str, typer.Argument(help="File path, file name or document id.")],
    page: Annotated[int, typer.Option(min=1, help="Page, counted from 1.")],
    prompt: PromptOption = "markdown",
    mode: Annotated[str | None, deepseek_option(help="Use only tokens of this resolution.")] = None,
    tokens: TokensOption = DEFAULT_TOKENS,
    ocr_model: OcrModelOption = None,
    device: DeviceOption = "auto",
    max_output_tokens: MaxOutputTokensOption = None,
    encode: Annotated[
        bool,
        deepseek_option(
            "--encode", help="Encode the page from its file if its tokens are not cached."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Decode a page again with another prompt, from its cached vision tokens."""
    with commands(as_json), open_tokens(tokens) as cache:
        from ..ingest.core.prompts import prompt_named
        from ..ingest.engines.choice import load_model
        from .answer_quality import NOT_LOCATED
        from .redecode import PageTarget, Redecoder

        prompt_named(prompt)  # refuse an unknown prompt before the model is loaded
        model = load_model(OpticalConfig(ocr_model, device=device))
        answer = Redecoder(cache, model).redecode(
            PageTarget(document, page),
            prompt,
            mode=mode,
            max_tokens=max_output_tokens,
            encode=encode,
        )
        if as_json:
            emit_json(answer.as_dict())
            return
        emit_text(answer.text)
        if answer.finish_reason != "eos":
            notes.print(f"the answer is incomplete: {answer.finish_reason}", markup=False)
        if NOT_LOCATED in answer.flags:
            notes.print("nothing was located: the answer has no box on the page", markup=False)
        if answer.flags:
            notes.print(f"doubtful: {', '.join(answer.flags)}", markup=False)


def _hit_to_json(hit: Any, drawn: Mapping[str, Any], failures: Mapping[str, str]) -> dict[str, Any]:
    from .citations import cite

    citation = cite(hit).as_dict()
    optional = {
        "context": hit.context and {"text": hit.context.text, "pages": list(hit.context.pages)},
        "pictures": drawn.get(hit.id),
        "picture_error": failures.get(hit.id),
    }
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
        "link": citation["link"],
        "cited_pages": citation["cited_pages"],
        "doubtful": citation["doubtful"],
        **{name: value for name, value in optional.items() if value},
    }


def _hit_to_text(rank: int, hit: Any, drawn: Mapping[str, Any]) -> str:
    from .citations import cite

    text = hit.context.text if hit.context else hit.text
    remarks = [f"doubtful: {', '.join(hit.doubtful)}"] if hit.doubtful else []
    lines = [*remarks, *text.splitlines(), *drawn.get(hit.id, ())]
    inner = "\n".join(f"    {plain(line)}" for line in lines)
    return f"{rank}. {plain(str(cite(hit)))}\n{inner}\n"


def main() -> None:
    """Run the ``opticalrag`` command."""
    gc.set_threshold(_GARBAGE)
    if "--json" not in sys.argv:
        app(prog_name="opticalrag")
        return
    try:
        sys.exit(app(prog_name="opticalrag", standalone_mode=False))
    except typer.TyperException as error:  # wrong usage: typer prints it, but not as JSON
        emit_json({"error": {"code": "usage", "message": error.format_message()}})
        notes.print(f"error: {error.format_message()}", style="red", markup=False, soft_wrap=True)
        sys.exit(Exit.USAGE)
