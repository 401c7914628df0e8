"""The error tree of the library. A message says what happened, with which value, and what to do."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadAnswer",
    "CacheCorrupt",
    "CacheError",
    "CacheFull",
    "CacheMiss",
    "CacheVersion",
    "CheckpointMismatch",
    "ConfigError",
    "DamagedDocument",
    "EncryptedDocument",
    "EngineError",
    "EngineUnavailable",
    "FilterError",
    "LimitExceeded",
    "MissingExtra",
    "ModelNotFound",
    "NotSupported",
    "OpticalRagError",
    "OutOfMemory",
    "PageRangeError",
    "PageRenderFailed",
    "ProcessCrashed",
    "QuestionError",
    "SchemaMismatch",
    "SourceChanged",
    "SourceError",
    "SourceMissing",
    "StoreDamaged",
    "StoreError",
    "StoreLocked",
    "StoreUnavailable",
    "UnsupportedSource",
    "WorkTimeout",
]


class OpticalRagError(Exception):
    """Base class of all errors that this library raises on purpose."""

    code: ClassVar[str] = "error"
    """Identifies the class in machine-readable output. Never changes."""
    file: str = ""
    """The file that was being worked on, where the error ended a whole run."""

    def __init_subclass__(cls, code: str | None = None) -> None:
        super().__init_subclass__()
        cls.code = code or cls.code

    def __str__(self) -> str:
        # KeyError, a base class of CacheMiss, would show the repr of its argument.
        return str(self.args[0]) if self.args else self.code


class ConfigError(OpticalRagError, ValueError, code="config"):
    """An option has an invalid value."""


class SourceError(OpticalRagError, ValueError, code="source"):
    """A file, or one page of it, cannot be used."""


class UnsupportedSource(SourceError, code="unsupported_source"):
    """The file is not a PDF or a supported image."""


class EncryptedDocument(SourceError, code="encrypted"):
    """The password is missing or wrong."""


class DamagedDocument(SourceError, code="damaged"):
    """The document does not open, or has no pages."""


class PageRangeError(SourceError, code="page_range"):
    """A page selection is malformed or matches no page of the document."""


class PageRenderFailed(SourceError, code="page_failed"):
    """One page could not be rendered or parsed. Other pages are not affected."""


class LimitExceeded(SourceError, code="limit_exceeded"):
    """A file has more bytes, pages or pixels than the limits allow."""


class SourceMissing(SourceError, code="source_missing"):
    """A file that was read before is gone."""


class SourceChanged(SourceError, code="source_changed"):
    """A file changed since it was read."""


class WorkTimeout(SourceError, code="timeout"):
    """Reading a page or opening a document took too long."""


class ProcessCrashed(SourceError, code="crashed"):
    """The process that read a page or opened a document died."""


class EngineError(OpticalRagError, RuntimeError, code="engine"):
    """A model cannot run."""


class ModelNotFound(EngineError, code="model_not_found"):
    """There are no weights at the given location."""


class CheckpointMismatch(EngineError, code="checkpoint_mismatch"):
    """The weights are damaged or belong to another model."""


class OutOfMemory(EngineError, code="out_of_memory"):
    """There is not enough memory for the request."""


class EngineUnavailable(EngineError, code="engine_unavailable"):
    """The model server does not answer."""

    retry_after: float = 0.0
    """Seconds that the server asked to wait before another request."""


class BadAnswer(EngineError, code="bad_answer"):
    """A model or its server gave an invalid answer."""


class CacheError(OpticalRagError, code="cache"):
    """The vision-token cache failed."""


class CacheMiss(CacheError, KeyError, code="cache_miss"):
    """There is no entry under this key."""


class CacheCorrupt(CacheError, code="cache_corrupt"):
    """Stored bytes fail their checksum."""


class CacheFull(CacheError, code="cache_full"):
    """The disk of the vision-token cache is full."""


class CacheVersion(CacheError, code="cache_version"):
    """An index or journal was written by another version of this library.

    Args:
        message: the error message.
        found: the schema version of the file.
    """

    def __init__(self, message: str, found: int = 0) -> None:
        self.found = found
        super().__init__(message, found)


class StoreError(OpticalRagError, code="store"):
    """The vector store failed."""


class SchemaMismatch(StoreError, code="schema_mismatch"):
    """The collection has other vectors or fields."""


class StoreUnavailable(StoreError, code="store_unavailable"):
    """The vector store does not answer or cannot be opened."""


class StoreLocked(StoreUnavailable, code="store_locked"):
    """Another process uses the store's folder."""

    @classmethod
    def of(cls, folder: object) -> StoreLocked:
        """Make the error for a folder."""
        return cls(
            f"the store folder {folder} is in use by another process: try again when it ends,"
            " wait longer for it, or share a Qdrant server (http://host:port)"
        )


class StoreDamaged(StoreError, code="store_damaged"):
    """Files of an embedded store are missing or invalid."""


class NotSupported(StoreError, code="not_supported"):
    """The store's engine does not support this operation."""


class FilterError(OpticalRagError, ValueError, code="filter"):
    """The store cannot apply a metadata filter, or not with this value."""


class QuestionError(OpticalRagError, ValueError, code="question"):
    """A question of a set is invalid, or names a document that is not stored.

    Args:
        message: the error message.
        position: of the question in its set, from 1.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        self.position = position
        super().__init__(message, position)

    @classmethod
    def at(cls, position: int, problem: str) -> QuestionError:
        """Make the error of the question at a position."""
        return cls(f"question {position}: {problem}", position)


class MissingExtra(OpticalRagError, ImportError, code="missing_extra"):
    """An optional dependency is not installed.

    Args:
        what: the feature that needs it, e.g. ``"OCR of scanned pages"``.
        extra: the extra of this package that installs it.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs the {extra} extra: pip install 'opticalrag[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Pickle both arguments: the default passes only the message."""
        return (type(self), (self.what, self.extra))
