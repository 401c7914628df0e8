"""Events for LlamaIndex's instrumentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.bridge.pydantic import Field
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent

from opticalrag.ingest.core.records import PageFailure
from opticalrag.ingest.llama_index.events import (
    PageFailed,
    PageParsed,
    page_event,
)
from opticalrag.ingest.llama_index.reader import DeepSeekOCRReader
from opticalrag.ingest.pipeline.listeners import ObservedEngine
from opticalrag.ingest.pipeline.pipeline import IngestPipeline

from ...builders import block, page


class Listener(BaseEventHandler):
    """Records our events."""

    heard: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Listener"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        if isinstance(event, (PageParsed, PageFailed)):
            self.heard.append(event)


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    """Our events, as LlamaIndex's root dispatcher gets them."""
    root = get_dispatcher()
    listener = Listener()
    root.add_event_handler(listener)
    yield listener.heard
    root.event_handlers.remove(listener)


def test_the_reader_sends_an_event_for_each_page(heard: list[Any], sample: Any) -> None:
    """With counts and seconds, and without the text of the page."""
    documents = DeepSeekOCRReader(engine="layout", ocr="off", pages="1-2").load_data(sample)

    assert [(type(event), event.page) for event in heard] == [(PageParsed, 1), (PageParsed, 2)]
    assert all(event.blocks and event.seconds > 0 for event in heard)
    assert not any(documents[0].text[:20] in event.model_dump_json() for event in heard)


def test_the_event_of_a_failed_page_has_its_code(heard: list[Any]) -> None:
    """But not its message, which may be long."""
    page_event(PageFailure("/a.pdf", 4, "timeout", "page 5 took too long"))

    assert [(e.file, e.page, e.code) for e in heard] == [("/a.pdf", 5, "timeout")]


def test_a_pipeline_with_an_observed_engine_sends_events(heard: list[Any], sample: Any) -> None:
    """One for each page."""
    from benchmarks.parsing.hostile import FlatEmbedder
    from opticalrag.ingest.core.config import LayoutConfig, SourceConfig
    from opticalrag.ingest.engines.layout import LayoutEngine
    from opticalrag.ingest.indexing.sparse import Bm25Encoder
    from opticalrag.ingest.store.store import QdrantStore

    embedder, sparse = FlatEmbedder(), Bm25Encoder()
    engine = ObservedEngine(LayoutEngine(LayoutConfig(ocr="off")), page_event)
    with QdrantStore(":memory:", create=True) as store:
        store.ensure(embedder, sparse)
        pipeline = IngestPipeline(engine, embedder, sparse, store)
        pipeline.run([sample], SourceConfig(pages="1"))
    engine.close()

    assert [type(event) for event in heard] == [PageParsed]


def test_an_observed_engine_is_the_engine() -> None:
    """It has the same name, fingerprint and outcomes, so no page is read again."""

    class Fixed:
        name, fingerprint = "fixed", "fixed/1"

        def parse(self, tasks: Any) -> Iterator[Any]:
            yield from tasks

        def close(self) -> None:
            pass

    seen: list[Any] = []
    outcome: Any = page(block("a"))
    engine = ObservedEngine(Fixed(), seen.append)

    assert (engine.name, engine.fingerprint) == ("fixed", "fixed/1")
    assert list(engine.parse([outcome])) == seen == [outcome]
