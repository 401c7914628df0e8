"""What the stages need of each other, as small interfaces. Knows no implementation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .errors import OpticalRagError
from .modes import Mode
from .records import PageOutcome, PageRef, PageTask, Point, SparseVector, Vectors
from .vision import DecodeRequest, TokenKey, Transcript, VisionTokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Embedder",
    "OpticalModel",
    "PageEngine",
    "PageKeeper",
    "PointStore",
    "SparseEncoder",
    "TokenCache",
    "TokenCounter",
    "VectorSpace",
]


@runtime_checkable
class PageEngine(Protocol):
    """Reads pages. ``fingerprint`` changes whenever the same page may be read differently."""

    @property
    def name(self) -> str:
        """Short name, e.g. ``"layout"``."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name, versions and options that decide the output."""
        ...

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead a bounded number of tasks."""
        ...

    def close(self) -> None:
        """Give back processes and memory."""
        ...


class OpticalModel(Protocol):
    """Turns page images into vision tokens, and those into text."""

    @property
    def name(self) -> str:
        """Hub id, or name of the folder."""
        ...

    @property
    def weights(self) -> str:
        """Fingerprint of the weights: only those that encoded a page can decode it."""
        ...

    @property
    def preprocessing(self) -> str:
        """Version of what is done to pixels before they are encoded."""
        ...

    @property
    def modes(self) -> Mapping[str, Mode]:
        """The resolutions it can read at, by name."""
        ...

    @property
    def compression(self) -> float:
        """Text tokens per vision token up to which it reads well."""
        ...

    def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
        """Encode page images, each ``[height, width, 3]``, RGB, as displayed."""
        ...

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """Decode pages together; one transcript per request, in order."""
        ...

    def stream(
        self, requests: Iterable[DecodeRequest | None], most: int | None = None
    ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
        """Decode pages as they come, ``most`` at a time; each with its number when it is done.

        A request that cannot be decoded comes back as the error, and costs no other. None among
        them says that there is nothing now: it is asked again while a page is under way, and the
        stream ends if none is.
        """
        ...

    def count_text_tokens(self, text: str) -> int:
        """Tokens of a text in the model's vocabulary."""
        ...


class PageKeeper(Protocol):
    """Keeps something of each page beside its text, as of the page of a document: vision tokens."""

    def keeps(self, document: str, sha256: str, page: int) -> bool:
        """Whether something of a page (0-based) of this content of a document is kept."""
        ...

    def pass_on(self, document: str, sha256: str, page: int, ref: PageRef) -> bool:
        """Have what is kept of a page be that of an equal one, too; whether there is something."""
        ...


class TokenCache(PageKeeper, Protocol):
    """Keeps vision tokens of pages."""

    def find(self, key: TokenKey) -> VisionTokens | None:
        """The tokens made from exactly this, or None."""
        ...

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Keep tokens and the page they are of; when this returns they are kept for good."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens the way the embedder will see them."""

    @property
    def max_tokens(self) -> int:
        """Longest input the embedder reads in full, special tokens included."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` embedded as a document, special tokens and prefix included."""
        ...


class VectorSpace(Protocol):
    """What a store must know of the model its dense vectors are of."""

    @property
    def name(self) -> str:
        """Model name as recorded in the store."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...


@runtime_checkable
class Embedder(TokenCounter, VectorSpace, Protocol):
    """Turns text into dense vectors."""

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts to be found. Shape: ``[texts, dimension]``, unit length."""
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question. Shape: ``[dimension]``, unit length."""
        ...


@runtime_checkable
class SparseEncoder(Protocol):
    """Turns text into sparse lexical vectors (the store applies the IDF)."""

    @property
    def name(self) -> str:
        """Encoder name as recorded in the store."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode texts to be found."""
        ...

    def encode_query(self, text: str) -> SparseVector:
        """Encode a question."""
        ...


class PointStore(Protocol):
    """Holds points: one per chunk, with its vectors and payload."""

    @property
    def tenant(self) -> str | None:
        """Whose points are written and seen; None where it makes no difference."""
        ...

    def existing_ids(self, document_id: str) -> set[str]:
        """Ids of the points stored for a document."""
        ...

    def is_complete(self, document_id: str, fingerprint: str) -> bool:
        """Whether every chunk made with this fingerprint is stored, and nothing else is."""
        ...

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """The embedded texts of points, by id; those that are not there are left out."""
        ...

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        """The vectors of points, by id; those that are not there are left out."""
        ...

    def count_made(self, document_id: str, fingerprint: str) -> int:
        """Points of a document that were made with this fingerprint."""
        ...

    def paths(self) -> dict[str, str]:
        """Where the files of all stored documents of this owner were, by their ids."""
        ...

    def overwrite_payloads(self, payloads: Mapping[str, dict[str, object]]) -> None:
        """Replace the payloads of stored points, by id, and leave their vectors alone."""
        ...

    def upsert(self, points: Sequence[Point]) -> int:
        """Write points, wait until they are stored, and return how many."""
        ...

    def delete_ids(self, ids: Collection[str]) -> int:
        """Delete points by id and return how many there were."""
        ...

    def delete_documents(self, document_ids: Collection[str]) -> int:
        """Delete all points of documents and return how many there were."""
        ...
