"""The error tree of the library.

```
OpticalRagError
  ConfigError(ValueError)      an option has an invalid value
  SourceError(ValueError)      a file or page cannot be used
    UnsupportedSource            not a PDF or a supported image
    EncryptedDocument            the password is missing or wrong
    DamagedDocument              the document does not open, or has no pages
    PageRangeError               a page selection matches no page of the document
    PageRenderFailed             one page could not be rendered or parsed
    LimitExceeded                more bytes, pages or pixels than allowed
    SourceMissing                a file that was read before is gone
    SourceChanged                a file changed since it was read
    WorkTimeout                  a page or document took too long
    ProcessCrashed               the process that read a page or document died
  EngineError(RuntimeError)    a model cannot run
    ModelNotFound                no weights at the given location
    CheckpointMismatch           the weights are damaged or of another model
    OutOfMemory                  not enough memory for the request
    EngineUnavailable            the model server does not answer
    BadAnswer                    the model server sent an invalid answer
  CacheError                   the vision-token cache failed
    CacheMiss(KeyError)          no entry under this key
    CacheCorrupt                 stored bytes fail their checksum
    CacheFull                    the disk is full
    CacheVersion                 an index or journal of another version of this library
  StoreError                   the vector store failed
    SchemaMismatch               the collection has other vectors or fields
    StoreUnavailable             the store does not answer or cannot be opened
      StoreLocked                  another process uses the store's folder
    StoreDamaged                 files of a store's folder are missing or invalid
    NotSupported                 the store's engine lacks this operation
  FilterError(ValueError)      the store cannot apply a metadata filter
  MissingExtra(ImportError)    an optional dependency is not installed
```

Every class has a stable ``code`` for machine-readable output. A message says what happened, with
which value, and what to do.
"""

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
    file: str = ""
    """The file that was being worked on, where the error ended a whole run."""

    def __str__(self) -> str:
        # KeyError, a base class of CacheMiss, would show the repr of its argument.
        return str(self.args[0]) if self.args else self.code


class ConfigError(OpticalRagError, ValueError):
    """An option has an invalid value."""

    code = "config"


class SourceError(OpticalRagError, ValueError):
    """A file, or one page of it, cannot be used."""

    code = "source"


class UnsupportedSource(SourceError):
    """The file is not a PDF or a supported image."""

    code = "unsupported_source"


class EncryptedDocument(SourceError):
    """The password is missing or wrong."""

    code = "encrypted"


class DamagedDocument(SourceError):
    """The document does not open, or has no pages."""

    code = "damaged"


class PageRangeError(SourceError):
    """A page selection is malformed or matches no page of the document."""

    code = "page_range"


class PageRenderFailed(SourceError):
    """One page could not be rendered or parsed. Other pages are not affected."""

    code = "page_failed"


class LimitExceeded(SourceError):
    """A file has more bytes, pages or pixels than the limits allow."""

    code = "limit_exceeded"


class SourceMissing(SourceError):
    """A file that was read before is gone."""

    code = "source_missing"


class SourceChanged(SourceError):
    """A file changed since it was read."""

    code = "source_changed"


class WorkTimeout(SourceError):
    """Reading a page or opening a document took too long."""

    code = "timeout"


class ProcessCrashed(SourceError):
    """The process that read a page or opened a document died."""

    code = "crashed"


class EngineError(OpticalRagError, RuntimeError):
    """A model cannot run."""

    code = "engine"


class ModelNotFound(EngineError):
    """There are no weights at the given location."""

    code = "model_not_found"


class CheckpointMismatch(EngineError):
    """The weights are damaged or belong to another model."""

    code = "checkpoint_mismatch"


class OutOfMemory(EngineError):
    """There is not enough memory for the request."""

    code = "out_of_memory"


class EngineUnavailable(EngineError):
    """The model server does not answer."""

    code = "engine_unavailable"


class BadAnswer(EngineError):
    """The model server sent an invalid answer."""

    code = "bad_answer"


class CacheError(OpticalRagError):
    """The vision-token cache failed."""

    code = "cache"


class CacheMiss(CacheError, KeyError):
    """There is no entry under this key."""

    code = "cache_miss"


class CacheCorrupt(CacheError):
    """Stored bytes fail their checksum."""

    code = "cache_corrupt"


class CacheFull(CacheError):
    """The disk of the vision-token cache is full."""

    code = "cache_full"


class CacheVersion(CacheError):
    """An index or journal was written by another version of this library.

    Args:
        message: the error message.
        found: the schema version of the file.
    """

    code = "cache_version"

    def __init__(self, message: str, found: int = 0) -> None:
        self.found = found
        super().__init__(message, found)


class StoreError(OpticalRagError):
    """The vector store failed."""

    code = "store"


class SchemaMismatch(StoreError):
    """The collection has other vectors or fields."""

    code = "schema_mismatch"


class StoreUnavailable(StoreError):
    """The vector store does not answer or cannot be opened."""

    code = "store_unavailable"


class StoreLocked(StoreUnavailable):
    """Another process uses the store's folder."""

    code = "store_locked"

    @classmethod
    def of(cls, folder: object) -> StoreLocked:
        """Make the error for a folder."""
        return cls(
            f"the store folder {folder} is in use by another process: wait for it to end (wait:"
            " seconds), or share a Qdrant server (http://host:port)"
        )


class StoreDamaged(StoreError):
    """Files of an embedded store are missing or invalid."""

    code = "store_damaged"


class NotSupported(StoreError):
    """The store's engine does not support this operation."""

    code = "not_supported"


class FilterError(OpticalRagError, ValueError):
    """The store cannot apply a metadata filter, or not with this value."""

    code = "filter"


class MissingExtra(OpticalRagError, ImportError):
    """An optional dependency is not installed.

    Args:
        what: the feature that needs it, e.g. ``"OCR of scanned pages"``.
        extra: the extra of this package that installs it.
    """

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs the {extra} extra: pip install 'opticalrag[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Pickle both arguments: the default passes only the message."""
        return (type(self), (self.what, self.extra))
