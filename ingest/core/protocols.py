"""The small interfaces between the stages. Knows no implementation."""

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
    "TokenCounter",
    "TokenStore",
    "VectorSpace",
]


@runtime_checkable
class PageEngine(Protocol):
    """Reads pages."""

    @property
    def name(self) -> str:
        """Short name, e.g. ``"layout"``."""

    @property
    def fingerprint(self) -> str:
        """Name, versions and options: changes whenever pages may be read differently."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order. Reads ahead a bounded number of tasks."""

    def close(self) -> None:
        """Release processes and memory."""


class OpticalModel(Protocol):
    """Encodes page images into vision tokens and decodes those into text."""

    @property
    def name(self) -> str:
        """Hub id, or name of the folder."""

    @property
    def weights(self) -> str:
        """Fingerprint of the weights. Only the weights that encoded a page can decode it."""

    @property
    def preprocessing(self) -> str:
        """Version of the preprocessing of pixels."""

    @property
    def modes(self) -> Mapping[str, Mode]:
        """The model's resolutions by name."""

    @property
    def compression(self) -> float:
        """Text tokens per vision token up to which the model reads well."""

    def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
        """Encode page images as displayed. Shape: each is uint8 ``[height, width, 3]``, RGB."""

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """Decode pages together. One transcript per request, in order."""

    def stream(
        self, requests: Iterable[DecodeRequest | None], most: int | None = None
    ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
        """Decode a stream of pages, at most ``most`` of them at a time.

        A request of None means that no page is ready yet. The stream then asks again while pages
        are being decoded, and ends if there are none.

        Yields:
            Pairs of a request's 0-based number and its transcript, as pages finish. The error of
            a request that cannot be decoded replaces its transcript; the other requests go on.
        """

    def count_text_tokens(self, text: str) -> int:
        """Count the tokens of a text in the model's vocabulary."""


class PageKeeper(Protocol):
    """Knows what is stored for each page besides its text, such as vision tokens."""

    def has_page(self, document: str, sha256: str, page: int) -> bool:
        """Whether anything is stored for a page (0-based) of this content of a document."""

    def link_page(self, document: str, sha256: str, page: int, ref: PageRef) -> bool:
        """Share what is stored for a page with an equal page; False if nothing is stored."""


class TokenStore(PageKeeper, Protocol):
    """Stores the vision tokens of pages."""

    def find(self, key: TokenKey) -> VisionTokens | None:
        """Return the tokens stored under this key, or None."""

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Store the tokens of a page. They are durable when this returns."""


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens as the embedder does."""

    @property
    def max_tokens(self) -> int:
        """The longest input that the embedder reads in full, with special tokens."""

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text embedded as a document, with special tokens and prefix."""


class VectorSpace(Protocol):
    """The properties of dense vectors that a store must know."""

    @property
    def name(self) -> str:
        """Model name as recorded in the store."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""


@runtime_checkable
class Embedder(TokenCounter, VectorSpace, Protocol):
    """Turns text into dense vectors."""

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts of documents. Shape: ``[texts, dimension]``, unit length."""

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a query. Shape: ``[dimension]``, unit length."""


@runtime_checkable
class SparseEncoder(Protocol):
    """Turns text into sparse lexical vectors (the store applies the IDF)."""

    @property
    def name(self) -> str:
        """Encoder name as recorded in the store."""

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode texts of documents."""

    def encode_query(self, text: str) -> SparseVector:
        """Encode a query."""


class PointStore(Protocol):
    """Stores points: one per chunk, with its vectors and payload."""

    @property
    def tenant(self) -> str | None:
        """The only tenant whose points are read and written; None for all points."""

    def existing_ids(self, document_id: str) -> set[str]:
        """Ids of the points stored for a document."""

    def is_complete(self, document_id: str, fingerprint: str) -> bool:
        """Whether all chunks with this fingerprint are stored, and no other chunks."""

    def texts(self, ids: Collection[str], file_name: str) -> dict[str, str]:
        """The embedded texts of points of files so named, by id, without missing points."""

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        """The vectors of points by id, without missing points."""

    def count_made(self, document_id: str, fingerprint: str) -> int:
        """Count the points of a document with this fingerprint."""

    def paths(self) -> dict[str, str]:
        """The file paths of all stored documents by document id, for this tenant."""

    def overwrite_payloads(self, payloads: Mapping[str, dict[str, object]]) -> None:
        """Replace the payloads of stored points by id. Their vectors stay."""

    def upsert(self, points: Sequence[Point]) -> int:
        """Write points, wait until they are stored, and return how many."""

    def delete_ids(self, ids: Collection[str]) -> int:
        """Delete points by id and return how many existed."""

    def delete_documents(self, document_ids: Collection[str]) -> int:
        """Delete all points of documents and return how many existed."""
