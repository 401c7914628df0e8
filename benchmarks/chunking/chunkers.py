"""Compares our chunker with those of docling-core, LlamaIndex, pymupdf4llm and chonkie.

    python -m benchmarks.chunking.chunkers [--data FOLDER] [--output FILE] [--cache FOLDER]

All chunkers get the same parsed pages (except pymupdf4llm, which only takes PDF files) and count
with the tokenizer of all-MiniLM-L6-v2, up to 256 tokens. The other packages are installed into
their own virtual environments in the cache folder on first use; one that cannot be installed is
reported and skipped. All chunking is timed on one core.

Columns of the table. Unless stated otherwise, a share is a share of chunks, over the documents that
a chunker accepted. Tables, formulas and code are generated; kB is the size of our Markdown.

- *over cap*: chunks whose embedded string, with special tokens, exceeds the limit; in brackets,
  those that exceed it by more than the two special tokens.
- *no header*, *no caption*: of the chunks with text of a table's body, those that lack a word of
  the caption, or of the header of a column whose cells they contain. The results also hold this
  share for the whole header, which a piece of a few columns does not contain.
- *cut*: of the formulas and code blocks that fit the limit, those that no chunk contains whole.
- *open*: of the chunks with a part of one, those with an odd number of ``$$`` or fences.
- *lost*: of the words of the pages, those in no chunk.
- *IoU*: overlap of a chunk's boxes with the area of its words; then the same, weighted by words.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.config import ChunkingConfig
from opticalrag.ingest.core.protocols import Embedder
from opticalrag.ingest.core.records import Chunk
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.model_files import resolve_model

from ..machine import describe
from ..peers.environments import PEERS, run_or_why_not
from ..peers.protocol import Outcome, PeerInput, Piece, measure
from .boxes import PageWords, box_overlaps, read_words
from .inputs import Source, read_pdfs, read_transcripts
from .metrics import CAP, CountTokens, score
from .samples import generate

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("OPTICALRAG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
OWN_READING = "pymupdf4llm page chunks"

_COLUMNS = {
    "documents": "documents",
    "chunks": "chunks",
    "over_cap": "over cap",
    "over_cap_by_more_than_specials": "(by >2)",
    "table_pieces_without_header_of_columns": "no header",
    "table_pieces_without_caption": "no caption",
    "formulas_cut": "formula cut",
    "formulas_unbalanced": "open",
    "code_cut": "code cut",
    "code_unbalanced": "open",
    "without_page": "no page",
    "box_iou": "IoU",
    "box_iou_by_words": "(by words)",
    "words_lost": "lost",
    "chunks_per_second": "chunks/s",
    "kilobytes_per_second": "kB/s",
}


@dataclass(frozen=True)
class Inputs:
    """The documents to compare on. ``layers`` are the text layers of the PDFs that have one."""

    sources: tuple[Source, ...]
    unread: tuple[str, ...]
    layers: Mapping[str, Mapping[int, PageWords]]


def read_inputs(data: Path) -> Inputs:
    """Parse the shared documents and generate the others."""
    read = list(read_pdfs(data / "pdf"))
    pdfs = [item for item in read if isinstance(item, Source)]
    layers = {source.name: read_words(source.file) for source in pdfs if source.file}
    others = [*read_transcripts(data / "deepseek_outputs"), *generate()]
    return Inputs(
        (*pdfs, *others),
        tuple(item for item in read if isinstance(item, str)),
        {name: layer for name, layer in layers.items() if layer},
    )


def cut_ours(sources: Sequence[Source], embedder: Embedder) -> Outcome:
    """Run our chunker."""
    embedder.count_tokens("")  # loads the tokenizer
    return measure(
        "OpticalRAG",
        version("opticalrag"),
        {source.name: source for source in sources},
        lambda source: chunk_pages(source.document, source.pages, embedder, ChunkingConfig()),
        lambda name, chunks: [_piece(name, chunk) for chunk in chunks],
    )


def _piece(name: str, chunk: Chunk) -> Piece:
    boxes = tuple((span.index + 1, *box.as_tuple()) for span in chunk.spans for box in span.boxes)
    return Piece(name, chunk.embedded_text, chunk.text, chunk.pages, boxes)


def cut_theirs(sources: Sequence[Source], cache: Path) -> tuple[list[Outcome], list[str]]:
    """Run the other chunkers and report why one does not run."""
    folder = resolve_model().path
    given = PeerInput(str(folder), CAP, tuple(source.for_peers() for source in sources))
    made = {name: run_or_why_not(peer, cache, given) for name, peer in PEERS.items()}
    missing = [f"{name}: {why}" for name, why in made.items() if isinstance(why, str)]
    return [o for found in made.values() if not isinstance(found, str) for o in found], missing


def judge(outcome: Outcome, inputs: Inputs, count: CountTokens) -> dict[str, Any]:
    """Score an outcome over all accepted documents and by group."""
    taken = [source for source in inputs.sources if source.name not in outcome.failures]
    pieces: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in outcome.pieces:
        pieces[piece.source].append(piece)
    same = outcome.chunker != OWN_READING
    groups = {group: [s for s in taken if s.group == group] for group in {s.group for s in taken}}

    def of(sources: Sequence[Source]) -> dict[str, Any]:
        return score(sources, pieces, count, same_reading=same).as_json()

    size = sum(len(page.text.encode()) for source in taken for page in source.pages)
    return {
        "version": outcome.version,
        "documents": len(taken),
        "not_taken": dict(outcome.failures),
        "chunks": len(outcome.pieces),
        "chunks_per_second": len(outcome.pieces) / outcome.seconds,
        "kilobytes_per_second": size / 1000 / outcome.seconds,
        "box_iou": (overlap := _mean_overlap(outcome, pieces, inputs)),
        "box_iou_by_words": overlap and overlap["weighted_by_words"],
        "all": of(taken),
        "by_group": {group: of(members) for group, members in sorted(groups.items())},
    }


def _mean_overlap(
    outcome: Outcome, pieces: Mapping[str, Sequence[Piece]], inputs: Inputs
) -> dict[str, Any] | None:
    if all(piece.boxes is None for piece in outcome.pieces):
        return None
    found = [
        pair
        for name, layers in inputs.layers.items()
        for pair in box_overlaps(pieces.get(name, ()), layers)
    ]
    total = sum(number for _, number in found)
    return {
        "share": sum(overlap for overlap, _ in found) / max(len(found), 1),
        "of": len(found),
        "weighted_by_words": sum(overlap * number for overlap, number in found) / max(total, 1),
    }


def print_table(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print one line per chunker as a Markdown table."""
    print("| chunker | " + " | ".join(_COLUMNS.values()) + " |")
    print("|---|" + "---:|" * len(_COLUMNS))
    for name, row in rows.items():
        cells = [_cell(key, {**row["all"], **row}.get(key)) for key in _COLUMNS]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _cell(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        value = value["share"]
    if value is None:
        return "none" if key.startswith("box_iou") else "-"
    if key.startswith("box_iou"):
        return f"{value:.2f}"
    is_amount = key in ("documents", "chunks") or key.endswith("_per_second")
    return f"{value:,.0f}" if is_amount else f"{value:.1%}"


def _not_taken(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, row in rows.items():
        for reason, number in Counter(row["not_taken"].values()).items():
            yield f"{name} did not take {number} of the documents: {reason}"


def use_one_core() -> None:
    """Pin this process and its future children to one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY / "benchmarks" / "results" / "chunkers.json"
    )
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "peers")
    options = parser.parse_args()
    if not (options.data / "pdf").is_dir():
        parser.error(f"no shared documents at {options.data} (set OPTICALRAG_TEST_DATA)")
    os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")
    inputs = read_inputs(options.data.resolve())
    use_one_core()
    embedder = make_embedder()
    outcomes, missing = cut_theirs(inputs.sources, options.cache.resolve())
    outcomes.insert(0, cut_ours(inputs.sources, embedder))
    rows = {o.chunker: judge(o, inputs, embedder.count_tokens) for o in outcomes}
    print_table(rows)
    left_out = [*missing, *inputs.unread, *_not_taken(rows)]
    print(*(f"left out: {reason}" for reason in left_out), sep="\n")
    machine = describe()
    print("machine:", ", ".join(f"{key} {value}" for key, value in machine.items()))
    values = {"machine": machine, "left_out": left_out, "chunkers": rows}
    options.output.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
