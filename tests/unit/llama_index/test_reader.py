"""The LlamaIndex reader on real documents, alone and inside LlamaIndex's own machinery."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import fsspec
import pytest
from llama_index.core import MockEmbedding, SimpleDirectoryReader
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.schema import MetadataMode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from opticalrag.ingest.core.errors import EncryptedDocument
from opticalrag.ingest.core.records import BlockKind, PageTask, ParsedPage
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.llama_index import reader as reader_module
from opticalrag.ingest.llama_index.node_parser import LayoutNodeParser
from opticalrag.ingest.llama_index.page_documents import LAYOUT_KEY
from opticalrag.ingest.llama_index.reader import DeepSeekOCRReader

from ...builders import block
from ..pipeline.test_pipeline import page_text, write_pdf


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"))


def test_one_document_per_page_with_the_usual_metadata(file: Path) -> None:
    """Names and labels are where LlamaIndex users look for them."""
    documents = DeepSeekOCRReader().load_data(file, extra_info={"team": "blue"})

    assert [d.metadata["page_label"] for d in documents] == ["1", "2"]
    assert {d.metadata["file_name"] for d in documents} == {"a.pdf"}
    assert {d.metadata["team"] for d in documents} == {"blue"}
    assert documents[1].text.startswith("The pump was inspected")


def test_ids_stay_when_the_file_is_edited(file: Path) -> None:
    """A docstore sees which page changed: ids come from the location, hashes from the content."""
    before = DeepSeekOCRReader().load_data(file)
    write_pdf(file, page_text("valve"), page_text("rotor"))
    after = DeepSeekOCRReader().load_data(file)

    assert [d.id_ for d in before] == [d.id_ for d in after]
    assert before[1].hash != after[1].hash


def test_neither_embedder_nor_language_model_sees_the_layout(file: Path) -> None:
    """A model gets the text, the file name and the page label."""
    document = DeepSeekOCRReader().load_data(file)[0]

    assert document.get_content(MetadataMode.EMBED) == document.text
    assert LAYOUT_KEY not in document.get_content(MetadataMode.LLM)
    assert "a.pdf" in document.get_content(MetadataMode.LLM)


def test_pages_come_as_they_are_read(file: Path) -> None:
    """The first Document comes before the second page is parsed."""
    documents = DeepSeekOCRReader().lazy_load_data(file)

    assert next(iter(documents)).metadata["page_label"] == "1"


def test_bytes_streams_and_remote_files_are_read(file: Path) -> None:
    """A source need not be a local path."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/reader/a.pdf", file.read_bytes())
    reader = DeepSeekOCRReader(pages="1")

    texts = {
        reader.load_data(file)[0].text,
        reader.load_data(file.read_bytes())[0].text,
        reader.load_data("/reader/a.pdf", fs=memory)[0].text,
        asyncio.run(reader.aload_data(file))[0].text,
    }
    assert len(texts) == 1


def test_it_works_in_a_directory_reader(file: Path) -> None:
    """``file_extractor`` passes paths and metadata to the reader."""
    documents = SimpleDirectoryReader(
        str(file.parent), file_extractor={".pdf": DeepSeekOCRReader()}
    ).load_data()

    assert len(documents) == 2
    assert all("creation_date" in d.metadata for d in documents)


def test_a_wrong_password_raises_and_the_right_one_is_not_serialised(tmp_path: Path) -> None:
    """A saved pipeline does not hold the password."""
    locked = write_pdf(tmp_path / "locked.pdf", page_text("pump"), password="hush")  # noqa: S106
    reader = DeepSeekOCRReader(password="hush", pages="1", workers=2)  # noqa: S106
    saved = json.dumps(reader.to_dict())

    assert reader.load_data(locked)
    assert "hush" not in saved + repr(reader)
    again = DeepSeekOCRReader.from_dict(json.loads(saved))
    assert (again.pages, again.workers) == ("1", 2)
    with pytest.raises(EncryptedDocument):
        again.load_data(locked)


class HeadedEngine:
    """Gives every page the same header, and a sum at its foot."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[ParsedPage]:
        for task in tasks:
            n = task.ref.index
            blocks = (
                block("Annual Report", BlockKind.PAGE_HEADER, box=(0.1, 0.02, 0.9, 0.04)),
                block(f"Text of page {n}.", box=(0.1, 0.2, 0.9, 0.8)),
                block(f"Sum {7 * n * n}", BlockKind.PAGE_FOOTER, box=(0.1, 0.95, 0.9, 0.97)),
            )
            yield ParsedPage(task.ref, 595, 842, blocks, "headed")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("furniture", ["keep", "drop", "metadata"])
def test_heads_of_several_pages_can_be_kept(
    count: int, furniture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that several pages share leave the text. With "metadata", they are in the layout."""
    monkeypatch.setattr(reader_module, "make_engine", lambda _: HeadedEngine())
    paper = write_pdf(tmp_path / "a.pdf", *(page_text(str(n)) for n in range(count)))
    reader = DeepSeekOCRReader.from_dict({"furniture": furniture})
    pages = reader.load_data(paper)

    left_out = count > 2 and furniture != "keep"
    assert all(("Annual Report" in page.text) != left_out for page in pages)
    assert all(f"Sum {7 * n * n}" in page.text for n, page in enumerate(pages))
    shown = ["Annual Report"] if left_out and furniture == "metadata" else []
    assert all(page.metadata["layout"]["furniture"] == shown for page in pages)


def test_the_chosen_engine_is_logged_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With ``engine="auto"`` the log names the engine that is used."""
    from opticalrag.ingest.engines.choice import _log_auto

    _log_auto.cache_clear()
    with caplog.at_level(logging.INFO):
        DeepSeekOCRReader().load_data(file)
        DeepSeekOCRReader().load_data(file)

    assert caplog.text.count("layout engine") == 1


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_a_pipeline_with_a_docstore_reembeds_an_edited_file_whole(file: Path) -> None:
    """Chunks cross pages, so an edit replaces all nodes of the file."""
    client = QdrantClient(":memory:")
    pipeline = IngestionPipeline(
        transformations=[LayoutNodeParser(max_tokens=64), MockEmbedding(8)],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        vector_store=QdrantVectorStore("pages", client=client),
        disable_cache=True,
    )
    first = pipeline.run(documents=DeepSeekOCRReader().load_data(file))
    points = client.count("pages").count
    again = pipeline.run(documents=DeepSeekOCRReader().load_data(file))
    write_pdf(file, page_text("valve"), page_text("rotor"))
    edited = pipeline.run(documents=DeepSeekOCRReader().load_data(file))

    assert len(first) == points > 2
    assert again == []
    assert {p for n in edited for p in n.metadata[Field.PAGES]} == {1, 2}
    assert client.count("pages").count == points
