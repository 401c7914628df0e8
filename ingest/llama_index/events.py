"""Events for LlamaIndex's instrumentation: pages read, pages failed, documents stored.

They carry counts and seconds and no text of documents.

Example:
    >>> from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
    >>> get_dispatcher().add_event_handler(handler)
    >>> pipeline.run(files, on_event=document_events())
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events import BaseEvent

from ..core.records import PageFailure, PageOutcome

__all__ = ["DocumentStored", "PageFailed", "PageParsed", "document_events", "page_event"]

_dispatcher = get_dispatcher(__name__)


class Progress(Protocol):
    """What is needed of an event of an ingest."""

    @property
    def kind(self) -> str:
        """``"opened"``, ``"finished"`` or ``"failed"``; others are passed on."""
        ...

    @property
    def file(self) -> str:
        """Where the document is, the same in all of its events."""
        ...

    @property
    def pages(self) -> int:
        """Pages to come, when it is opened."""
        ...


E = TypeVar("E", bound=Progress)


class PageParsed(BaseEvent):
    """A page was read: ``page`` is 1-based, ``seconds`` what its engine took."""

    file: str
    page: int
    engine: str
    blocks: int
    flags: list[str]
    seconds: float

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this event."""
        return "PageParsed"


class PageFailed(BaseEvent):
    """A page could not be read; ``code`` is of :mod:`.errors`."""

    file: str
    page: int | None
    code: str

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this event."""
        return "PageFailed"


class DocumentStored(BaseEvent):
    """All pages of a document went through; ``seconds`` since it was opened."""

    file: str
    pages: int
    seconds: float

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this event."""
        return "DocumentStored"


def page_event(outcome: PageOutcome) -> None:
    """Tell LlamaIndex of a page."""
    if isinstance(outcome, PageFailure):
        event: BaseEvent = PageFailed(file=outcome.file, page=outcome.number, code=outcome.code)
    else:
        document = outcome.ref.document
        event = PageParsed(
            file=document.uri or document.name,
            page=outcome.ref.number,
            engine=outcome.engine,
            blocks=len(outcome.blocks),
            flags=list(outcome.flags),
            seconds=outcome.seconds,
        )
    _dispatcher.event(event)


def document_events(
    after: Callable[[E], None] = lambda event: None,
) -> Callable[[E], None]:
    """A callback for :meth:`.pipeline.IngestPipeline.run` that tells LlamaIndex of documents.

    Args:
        after: called with each event as well.
    """
    opened: dict[str, tuple[int, float]] = {}  # pages, and when it was opened

    def on_event(event: E) -> None:
        if event.kind == "opened":
            opened[event.file] = event.pages, time.perf_counter()
        elif event.kind in ("finished", "failed") and event.file in opened:
            pages, started = opened.pop(event.file)
            if event.kind == "finished":
                seconds = time.perf_counter() - started
                _dispatcher.event(DocumentStored(file=event.file, pages=pages, seconds=seconds))
        after(event)

    return on_event
