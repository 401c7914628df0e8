"""Runs LlamaIndex's node parsers on our Markdown, with one Document per page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llama_index.core import Settings
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import (
    MarkdownElementNodeParser,
    MarkdownNodeParser,
    NodeParser,
    SentenceSplitter,
)
from llama_index.core.schema import BaseNode, Document, IndexNode, MetadataMode
from tokenizers import Tokenizer

from .protocol import Outcome, PeerInput, Piece, measure, run_peer


def documents(source: Mapping[str, Any]) -> list[Document]:
    """The pages of a source, with the metadata of LlamaIndex's PDF reader."""
    return [
        Document(
            text=page["text"],
            metadata={
                "page_label": page["label"],
                "page": page["number"],
                "file_name": source["name"],
            },
            # SimpleDirectoryReader excludes the file from the embedded text, not the page label.
            excluded_embed_metadata_keys=["file_name", "page"],
        )
        for page in source["pages"]
    ]


def pieces(name: str, nodes: Sequence[BaseNode]) -> Iterator[Piece]:
    """Turn nodes into pieces, without those that hold only a model-written table summary."""
    for node in nodes:
        if isinstance(node, IndexNode):
            continue
        body = node.get_content(MetadataMode.NONE)
        # A table's node carries the whole table once more as metadata, which its index node
        # is embedded without.
        embedded = body if "table_df" in node.metadata else node.get_content(MetadataMode.EMBED)
        page = node.metadata.get("page")
        yield Piece(name, embedded if body.strip() else "", body, (page,) if page else ())


def run(given: PeerInput) -> Iterator[Outcome]:
    """Run three node parsers."""
    tokenizer = Tokenizer.from_file(str(Path(given.tokenizer, "tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    Settings.llm = MockLLM(max_tokens=1)
    Settings.embed_model = MockEmbedding(8)
    splitter = SentenceSplitter(
        chunk_size=given.max_tokens,
        chunk_overlap=0,
        tokenizer=lambda text: tokenizer.encode(text).ids,
    )
    parsers: dict[str, NodeParser] = {
        "LlamaIndex SentenceSplitter": splitter,
        "LlamaIndex MarkdownNodeParser": MarkdownNodeParser(),
        "LlamaIndex MarkdownElementNodeParser": MarkdownElementNodeParser(
            llm=Settings.llm, nested_node_parser=splitter, show_progress=False
        ),
    }
    sources = {source["name"]: documents(source) for source in given.sources}
    for title, parser in parsers.items():
        yield measure(
            title,
            version("llama-index-core"),
            sources,
            parser.get_nodes_from_documents,
            lambda name, nodes: list(pieces(name, nodes)),
        )


if __name__ == "__main__":
    run_peer(run)
