"""The configuration of each stage, as frozen dataclasses. Reads no environment variables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from .errors import ConfigError
from .servers import VllmConfig

__all__ = [
    "ChunkingConfig",
    "CollectionOptions",
    "EngineConfig",
    "IngestOptions",
    "KernelPolicy",
    "LayoutConfig",
    "OpticalConfig",
    "PageFurniture",
    "PageLimits",
    "SourceConfig",
    "StoreConfig",
    "TokenCacheConfig",
    "VllmConfig",
    "WorkLimits",
]

PageFurniture = Literal["keep", "drop", "metadata"]
"""Running heads and page numbers: keep them in the text, drop them, or store them as metadata."""

_MIN_TOKENS: Final = 32  # for the context and a sentence
_MIN_MEMORY: Final = 256 * 1024**2  # bytes; the models alone need this much
_YEAR: Final = 365 * 86_400  # seconds; a timer of the system overflows far above it

KernelPolicy = Literal["auto", "on", "off"]
"""Triton kernels on a GPU: those measured on this GPU (auto), all (on) or none (off)."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Limits above which a document is refused; ``pixels`` of one rendered page or image file."""

    file_bytes: int = 2 * 1024**3
    pages: int = 50_000
    pixels: int = 100_000_000  # 10,000 x 10,000; an A4 page at 600 dpi has 35 million


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """Limits of a worker process while it reads one page or opens one document.

    ``memory`` is the process's resident memory in bytes, enforced on Linux only.
    """

    seconds: float = 120.0  # the slowest page of the test documents takes 6 s, with OCR on one core
    memory: int = 4 * 1024**3  # layout and OCR models together take less than 1 GiB

    def __post_init__(self) -> None:
        """Require limits that a worker can keep and a page can be read under."""
        if not 0 < self.seconds <= _YEAR:
            raise ConfigError(
                f"the time limit is {self.seconds:g} s: use more than 0 and at most {_YEAR:,} s,"
                " a year"
            )
        if self.memory < _MIN_MEMORY:
            raise ConfigError(
                f"the memory limit is {self.memory:,} bytes: use at least {_MIN_MEMORY:,}, which"
                " the models need"
            )


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """How documents are opened and which pages are read.

    Attributes:
        password: opens encrypted files; never appears in a repr.
        pages: selected pages, counted from 1, such as ``"1-3,7"``; None: all.
    """

    password: str | None = field(default=None, repr=False)
    pages: str | None = None
    limits: PageLimits = PageLimits()


@dataclass(frozen=True, slots=True)
class LayoutConfig:
    """Options of the layout engine.

    Attributes:
        ocr: ``"auto"`` runs OCR on pages and regions without usable text, ``"off"`` never,
            ``"force"`` on every page.
        ocr_dpi: resolution of the page images for OCR.
        links: write links to the web as Markdown, ``[words](https://…)``. Without it, the text
            has the words only, which is better for search.
    """

    ocr: Literal["auto", "off", "force"] = "auto"
    ocr_dpi: int = 150
    links: bool = False


@dataclass(frozen=True, slots=True)
class TokenCacheConfig:
    """Where and how vision tokens are cached.

    Attributes:
        location: a folder, or an fsspec URL such as ``s3://bucket/tokens``. The index of a URL is
            stored on this machine.
        quota: maximum size in bytes; the least recently used entries are removed first.
        codec: encoding of the entries, see :mod:`opticalrag.ingest.token_cache.codecs`.
    """

    location: str = ".opticalrag/tokens"
    quota: int = 20 * 1000**3
    codec: Literal["lossless", "int8", "int4"] = "lossless"

    def __post_init__(self) -> None:
        """Require a location and a positive quota."""
        if not self.location.strip():
            raise ConfigError("the location of the token cache is empty: use a folder or a URL")
        if self.quota < 1:
            raise ConfigError(f"the quota of the token cache is {self.quota}: use at least 1 byte")


@dataclass(frozen=True, slots=True)
class OpticalConfig:
    """Options of the DeepSeek-OCR engine.

    Attributes:
        model: folder with the published files, or hub id; None: the published model.
        revision: commit on the hub; None: the one that this version knows.
        mode: a name of :data:`.modes.MODES`, or ``"auto"``.
        prompt: a name or text, see :func:`.prompts.prompt_named`.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, or several GPUs as ``"cuda:0,cuda:1"``.
        batch: pages decoded at a time; None: chosen for the device.
        max_output_tokens: maximum answer for one page; None: estimated from the text on the page.
        tokens: where vision tokens are cached; None: nowhere.
    """

    model: str | None = None
    revision: str | None = None
    mode: str = "auto"
    prompt: str = "markdown"
    device: str = "auto"
    batch: int | None = None
    max_output_tokens: int | None = None
    tokens: TokenCacheConfig | None = None
    kernels: KernelPolicy = "auto"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine reads pages, and how.

    Attributes:
        name: one of :data:`.engines.choice.ENGINES`.
        workers: number of processes that read pages.
        limits: a worker is killed when a page exceeds them. None: no limits, and a single worker
            is then this process instead of a new one.
    """

    name: str = "auto"
    workers: int = 1
    layout: LayoutConfig = LayoutConfig()
    optical: OpticalConfig = OpticalConfig()
    limits: WorkLimits | None = None
    vllm: VllmConfig | None = None


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How a run treats documents that are already stored.

    Attributes:
        force: ingest unchanged documents again.
        dry_run: report what would be done, without writing.
        prune: remove documents whose files are gone from ``roots``; by default they are listed.
        roots: absolute paths of the files and folders that the run covers.
    """

    force: bool = False
    dry_run: bool = False
    prune: bool = False
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """Layout of a new collection; None: Qdrant's default.

    Attributes:
        on_disk: store the original vectors on disk.
        quantization: hold quantised vectors in memory; their hits are scored again with the
            original vectors.
        hnsw_m: edges per node of the graph.
        hnsw_ef_construct: neighbours compared while the graph is built.
        shard_number: shards of the collection; servers only.
        replication_factor: copies of each shard; servers only.
        write_consistency_factor: copies that must confirm a write; servers only.
    """

    on_disk: bool | None = None
    quantization: Literal["scalar", "binary"] | None = None
    hnsw_m: int | None = None
    hnsw_ef_construct: int | None = None
    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None

    def __post_init__(self) -> None:
        """Require a known quantization and positive numbers."""
        if self.quantization not in (None, "scalar", "binary"):
            raise ConfigError(f"quantization is {self.quantization!r}: use scalar or binary")
        for name, value in asdict(self).items():
            if type(value) is int and value < 1:  # not on_disk, a bool
                raise ConfigError(f"{name} is {value}: use at least 1")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Which collection of which store is opened, and its journal.

    Attributes:
        location: a server's URL, a folder, or ``":memory:"``.
        api_key: of the server; never appears in a repr.
        tenant: owner of the points that are written, and of all points that are read; None: no
            owner, and points of all owners.
        prefer_grpc: use gRPC with a server.
        wait: seconds to wait for a folder in use or a server that does not answer.
        journal: folder of the journal; ``"auto"``: inside the store's folder, or
            ``.opticalrag/journal`` for a server; ``"off"``: no journal.
    """

    location: str
    collection: str = "opticalrag"
    api_key: str | None = field(default=None, repr=False)
    tenant: str | None = None
    prefer_grpc: bool = False
    wait: float = 0.0
    journal: str = "auto"
    options: CollectionOptions = CollectionOptions()


@dataclass(frozen=True, slots=True)
class ChunkingConfig:
    """Options of the chunker.

    Attributes:
        max_tokens: maximum size of the embedded string; None: the embedder's limit.
        target_tokens: size up to which small neighbours are merged; None: the maximum.
        overlap_tokens: maximum size of the sentences repeated from the previous chunk, if both
            chunks are text of the same section on the same page.
        furniture: see :data:`PageFurniture`.
    """

    max_tokens: int | None = None
    target_tokens: int | None = None
    overlap_tokens: int = 0
    furniture: PageFurniture = "metadata"

    def __post_init__(self) -> None:
        """Require sizes that leave room for text."""
        for name in ("max_tokens", "target_tokens"):
            value = getattr(self, name)
            if value is not None and value < _MIN_TOKENS:
                raise ConfigError(
                    f"{name} is {value}: use at least {_MIN_TOKENS}, enough for the context and a"
                    " sentence"
                )
        if self.overlap_tokens < 0:
            raise ConfigError(f"overlap_tokens is {self.overlap_tokens}: use 0 or more")

    def cap(self, readable: int) -> int:
        """The maximum size of a chunk for an embedder that reads ``readable`` tokens.

        Raises:
            ConfigError: ``max_tokens`` is larger; the embedder would ignore the rest.
        """
        if self.max_tokens is not None and self.max_tokens > readable:
            raise ConfigError(
                f"max_tokens is {self.max_tokens}, but the embedder reads only {readable} tokens:"
                f" use at most {readable}, or another embedder"
            )
        return self.max_tokens or readable

    @property
    def fingerprint(self) -> str:
        """Identifies the options, all of which change the chunks."""
        sizes = f"{self.max_tokens}:{self.target_tokens}:{self.overlap_tokens}"
        return f"chunk/4:{sizes}:{self.furniture}"
