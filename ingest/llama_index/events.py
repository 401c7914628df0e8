"""Events for LlamaIndex's instrumentation: pages read and pages that failed.

Events carry counts and seconds, never the text of a document.

Example:
    >>> from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
    >>> get_dispatcher().add_event_handler(handler)
    >>> with open_pipeline(store) as pipeline:
    ...     pipeline.run(files)
"""

from __future__ import annotations

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events import BaseEvent

from ..core.records import PageFailure, PageOutcome

__all__ = ["PageFailed", "PageParsed", "page_event"]

_dispatcher = get_dispatcher(__name__)


class PageParsed(BaseEvent):
    """A page was read. ``page`` is 1-based; ``seconds`` is the engine's time for it."""

    file: str
    page: int
    engine: str
    blocks: int
    flags: list[str]
    seconds: float

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex knows this event by."""
        return "PageParsed"


class PageFailed(BaseEvent):
    """A page could not be read. ``code`` is the code of an error in :mod:`..core.errors`."""

    file: str
    page: int | None
    code: str

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex knows this event by."""
        return "PageFailed"


def page_event(outcome: PageOutcome) -> None:
    """Send LlamaIndex an event for a page."""
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
