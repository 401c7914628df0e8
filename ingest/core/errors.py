"""Everything that can go wrong, as one tree.

```
OpticalRagError
  SourceError(ValueError)      a file or page that cannot be used
    UnsupportedSource            not a PDF or an image we can open
    EncryptedDocument            password missing or wrong
    DamagedDocument              opens to nothing, or not at all
    PageRangeError               a page choice that names no page of the document
    PageRenderFailed             one page could not be drawn or parsed
    LimitExceeded                more bytes, pages or pixels than allowed
    SourceMissing                a file that was read once is gone
    SourceChanged                a file is not the one that was read
    WorkTimeout                  a page or document took too long
    ProcessCrashed               a page or document ended the process that read it
  EngineError(RuntimeError)    a model that cannot run
    ModelNotFound                no weights at the place named
    CheckpointMismatch           weights that are not the model they claim to be
    OutOfMemory                  not enough memory for what was asked
    EngineUnavailable            no answer from the server of a model
    BadAnswer                    an answer of such a server that cannot be one
  CacheError                   the vision-token store
    CacheMiss(KeyError)          nothing stored under this key
    CacheCorrupt                 stored bytes that fail their checksum
    CacheFull                    the disk has no room for more
    CacheVersion                 an index or journal of another version of this library
  StoreError                   the vector store
    SchemaMismatch               a collection made for other vectors or fields
    StoreUnavailable             no answer, or nothing that can be opened
      StoreLocked                  another process has the folder
    StoreDamaged                 a folder whose files are not what the store writes
    NotSupported                 what this engine cannot be asked
  FilterError(ValueError)      a metadata filter that the store cannot do
  MissingExtra(ImportError)    an optional part is not installed
```

Every class has a stable ``code`` that machine-readable output carries. Messages say what
happened, with which value, and what to do.
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
    """Base of all errors this library raises on purpose."""

    code: ClassVar[str] = "error"
    file: str = ""
    """The file that was being worked on, where the error ended a whole run."""

    def __str__(self) -> str:
        # KeyError would print the repr of its argument.
        return str(self.args[0]) if self.args else self.code


class SourceError(OpticalRagError, ValueError):
    """A file, or one page of it, cannot be used."""

    code = "source"


class UnsupportedSource(SourceError):
    """The bytes are no PDF and no image we can open."""

    code = "unsupported_source"


class EncryptedDocument(SourceError):
    """The document needs a password, or the one given is wrong."""

    code = "encrypted"


class DamagedDocument(SourceError):
    """The document cannot be opened, or opens with no page."""

    code = "damaged"


class PageRangeError(SourceError):
    """A page choice is malformed or names pages that do not exist."""

    code = "page_range"


class PageRenderFailed(SourceError):
    """One page could not be drawn or parsed; the others are not affected."""

    code = "page_failed"


class LimitExceeded(SourceError):
    """A file has more bytes, pages or pixels than the limits allow."""

    code = "limit_exceeded"


class SourceMissing(SourceError):
    """A file that was read once is not where it was."""

    code = "source_missing"


class SourceChanged(SourceError):
    """A file's bytes are not those that were read."""

    code = "source_changed"


class WorkTimeout(SourceError):
    """A page, or the opening of a document, took longer than it may."""

    code = "timeout"


class ProcessCrashed(SourceError):
    """The process that read a page or opened a document died."""

    code = "crashed"


class EngineError(OpticalRagError, RuntimeError):
    """A model cannot run."""

    code = "engine"


class ModelNotFound(EngineError):
    """No weights at the place named."""

    code = "model_not_found"


class CheckpointMismatch(EngineError):
    """Weights that are not the model they claim to be."""

    code = "checkpoint_mismatch"


class OutOfMemory(EngineError):
    """Not enough memory for what was asked."""

    code = "out_of_memory"


class EngineUnavailable(EngineError):
    """The server that holds a model does not answer."""

    code = "engine_unavailable"


class BadAnswer(EngineError):
    """The server that holds a model answers what cannot be an answer."""

    code = "bad_answer"


class CacheError(OpticalRagError):
    """The vision-token store failed."""

    code = "cache"


class CacheMiss(CacheError, KeyError):
    """Nothing is stored under this key."""

    code = "cache_miss"


class CacheCorrupt(CacheError):
    """Stored bytes fail their checksum."""

    code = "cache_corrupt"


class CacheFull(CacheError):
    """The disk of the vision-token store has no room."""

    code = "cache_full"


class CacheVersion(CacheError):
    """Another version of this library made an index or journal.

    Args:
        message: what happened.
        found: that version's number.
    """

    code = "cache_version"

    def __init__(self, message: str, found: int = 0) -> None:
        self.found = found
        super().__init__(message, found)


class StoreError(OpticalRagError):
    """The vector store failed."""

    code = "store"


class SchemaMismatch(StoreError):
    """A collection was made for other vectors or fields."""

    code = "schema_mismatch"


class StoreUnavailable(StoreError):
    """The vector store does not answer, or another process holds it."""

    code = "store_unavailable"


class FilterError(OpticalRagError, ValueError):
    """A metadata filter that the store cannot do, or not with this value."""

    code = "filter"


class StoreLocked(StoreUnavailable):
    """Another process has the store's folder open."""

    code = "store_locked"

    @classmethod
    def of(cls, folder: object) -> StoreLocked:
        """The error for a folder."""
        return cls(
            f"the folder {folder} is in use by another process: wait until it ends (--wait"
            " SECONDS), or use a Qdrant server (--qdrant URL) for several at once"
        )


class StoreDamaged(StoreError):
    """Files of an embedded store are missing, or not what the store writes."""

    code = "store_damaged"


class NotSupported(StoreError):
    """The store's engine cannot do what is asked of it."""

    code = "not_supported"


class MissingExtra(OpticalRagError, ImportError):
    """An optional part is not installed.

    Args:
        what: the thing that needs it, e.g. ``"OCR of scanned pages"``.
        extra: the extra of this distribution that brings it.
    """

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs the {extra} extra: pip install 'opticalrag[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Travel between processes: the default would pass the message only."""
        return (type(self), (self.what, self.extra))


class ConfigError(OpticalRagError, ValueError):
    """An option has a value that cannot work."""

    code = "config"
