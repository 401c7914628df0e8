"""Options of each stage as frozen records, with their defaults. Reads no environment."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from .errors import ConfigError

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
    "StoreEngine",
    "TokenCacheConfig",
    "VllmConfig",
    "WorkLimits",
]

PageFurniture = Literal["keep", "drop", "metadata"]
"""What happens to running headers and footers: in the text, nowhere, or only as metadata."""

StoreEngine = Literal["auto", "edge", "local"]
"""What keeps a store's folder: qdrant-edge, or the local mode of Qdrant's client."""


KernelPolicy = Literal["auto", "on", "off"]
"""Which kernels a GPU computes with: those measured on it, untested ones too, or none."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What a document may cost before it is refused.

    Units: ``file_bytes`` of the file; ``pages`` per document; ``pixels`` of one drawn page or
    of one image file.
    """

    file_bytes: int = 2 * 1024**3
    pages: int = 50_000
    pixels: int = 100_000_000  # 10,000 x 10,000; an A4 page at 600 dpi has 35 million


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """What one page, or the opening of one document, may cost a worker process.

    Units: ``seconds``; ``memory`` in bytes in use by the process (watched on Linux only).
    """

    seconds: float = 120.0  # the slowest page of our documents takes 6 s, with OCR on one core
    memory: int = 4 * 1024**3  # models of layout and OCR take under 1 GiB

    def __post_init__(self) -> None:
        """Refuse limits under which nothing can be read."""
        if not self.seconds > 0 or self.memory < MIN_MEMORY:
            raise ConfigError(
                f"a page cannot be read in {self.seconds:g} s and {self.memory:,} bytes; allow"
                f" more than 0 s and at least {MIN_MEMORY:,} bytes, which models take up"
            )
        if self.seconds > MAX_SECONDS:  # the system's clocks cannot be set to it
            raise ConfigError(
                f"{self.seconds:g} s is no limit that can be kept; {MAX_SECONDS:,} s are a year"
            )


MIN_MEMORY = 256 * 1024**2
MAX_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """How documents are opened and which pages are read.

    ``pages`` is a 1-based choice such as ``"1-3,7"`` (None: all). ``password`` is tried on
    encrypted files and never appears in a repr.
    """

    password: str | None = field(default=None, repr=False)
    pages: str | None = None
    limits: PageLimits = PageLimits()


@dataclass(frozen=True, slots=True)
class LayoutConfig:
    """Options of the CPU engine.

    ``ocr``: ``"auto"`` reads pages and regions without usable text, ``"off"`` never,
    ``"force"`` every page. ``ocr_dpi`` is the resolution OCR sees.
    """

    ocr: Literal["auto", "off", "force"] = "auto"
    ocr_dpi: int = 150


@dataclass(frozen=True, slots=True)
class TokenCacheConfig:
    """Where and how vision tokens are kept.

    ``location`` is a folder, or an fsspec URL such as ``s3://bucket/tokens`` whose index is then
    kept on this machine. ``quota`` is in bytes: what was not used for longest goes first. The
    codecs are those of :mod:`.codecs`.
    """

    location: str = ".opticalrag/tokens"
    quota: int = 20 * 1000**3
    codec: Literal["lossless", "int8", "int4"] = "lossless"

    def __post_init__(self) -> None:
        """Refuse a place that is none, and room for nothing."""
        if not self.location.strip() or self.quota < 1:
            raise ConfigError(
                f"vision tokens cannot be kept at {self.location!r} in {self.quota} bytes; name a"
                " folder or URL and a size above 0"
            )


@dataclass(frozen=True, slots=True)
class OpticalConfig:
    """Options of the DeepSeek-OCR engine.

    ``model`` is a folder with the released files or a hub id (None: the released model), at
    the commit ``revision`` (None: the one known to this version). ``mode`` is a name of
    :data:`.modes.MODES` or ``"auto"``; ``prompt`` see :func:`.prompts.prompt_named`. ``batch``
    pages are decoded at a time (None: by device). ``max_output_tokens`` bounds the answer for a
    page (None: by the text expected on it). ``tokens`` says where vision tokens are kept (None:
    nowhere). ``kernels`` see :data:`KernelPolicy`.
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


_WEEK = 7 * 86_400  # seconds; clocks of the system take no number, however large
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE | re.ASCII)


def _is_server(url: str) -> bool:
    """Whether this is a URL of HTTP with a host and port that can be, and no query."""
    if not url.isprintable() or re.search(r"[\s\\?#]", url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and port != 0 and _is_host(parts.hostname or "")


def _is_host(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    try:
        labels = host.encode("idna").decode("ascii").removesuffix(".").split(".")
    except UnicodeError:  # empty or too long
        return False
    # What ends in a number is read as an address.
    return all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


@dataclass(frozen=True, slots=True)
class VllmConfig:
    """A vLLM server that holds DeepSeek-OCR, and how patiently it is asked.

    ``url`` is the server's, with or without ``/v1``; ``model`` as the server names it;
    ``concurrency`` pages are asked for at once. White space around ``api_key`` is not part of it.

    Units: ``timeout``, of one answer, and ``wait``, for a server that does not answer, in seconds.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    model: str = "deepseek-ai/DeepSeek-OCR"  # as the published recipe starts it
    concurrency: int = 64
    timeout: float = 600.0
    wait: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what is no server, a key no header carries, and patience that is none."""
        if "@" in self.url:
            raise ConfigError(
                "the URL of the vLLM server holds a user or password, which would be in every"
                " message; give it as the key instead"
            )
        if not _is_server(self.url):
            shown = re.split("[?#]", self.url, maxsplit=1)[0]  # a query may hold a key
            raise ConfigError(f"the vLLM server is {shown!r:.200}; write http://host:port only")
        key = (self.api_key or "").strip()  # a file's last line ends
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                "the key of the vLLM server has characters that no header carries; write it with"
                " letters, digits and signs of ASCII"
            )
        object.__setattr__(self, "api_key", key or None)
        if self.concurrency < 1 or not 0 < self.timeout <= _WEEK or not self.wait >= 0:
            raise ConfigError(
                f"a server cannot be asked {self.concurrency} at a time for {self.timeout:g} s;"
                " choose at least one page, and more than 0 seconds but no more than a week"
            )

    @property
    def endpoint(self) -> str:
        """Where questions go."""
        return f"{self.url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine reads pages: ``name`` is one of :data:`.engines.ENGINES`.

    ``vllm`` is the server for the engine of that name.

    With ``limits`` also one worker is a process, which is killed when a page breaks them; without,
    one worker is this process, which starts at once.
    """

    name: str = "auto"
    workers: int = 1
    layout: LayoutConfig = LayoutConfig()
    optical: OpticalConfig = OpticalConfig()
    limits: WorkLimits | None = None
    vllm: VllmConfig | None = None


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How a run treats what was done before.

    ``force`` does all of it again; ``dry_run`` says what would be done. ``roots`` are the absolute
    paths of files and folders that are looked through: what is stored of files that are gone from
    there is listed, and removed with ``prune``.
    """

    force: bool = False
    dry_run: bool = False
    prune: bool = False
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """How a new collection is laid out; None leaves it to Qdrant.

    Quantised vectors are kept in memory and what they find is scored again with the original
    ones. ``hnsw_m`` is the number of edges per node of the graph, ``hnsw_ef_construct`` the number
    of neighbours looked at when it is built. ``shard_number``, ``replication_factor`` and
    ``write_consistency_factor`` are a server's only.
    """

    on_disk: bool | None = None
    quantization: Literal["scalar", "binary"] | None = None
    hnsw_m: int | None = None
    hnsw_ef_construct: int | None = None
    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine takes."""
        if self.quantization not in (None, "scalar", "binary"):
            raise ConfigError(f"quantization is {self.quantization!r}; choose scalar or binary")
        counts = (
            "hnsw_m",
            "hnsw_ef_construct",
            "shard_number",
            "replication_factor",
            "write_consistency_factor",
        )
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where points are kept, and whose they are.

    ``location`` is a server's URL, a folder, or ``":memory:"``; ``engine`` is what keeps a folder
    (auto: what it was made with, edge for a new one). With a ``tenant``, points are written for
    it and only its own are seen. ``prefer_grpc`` speaks gRPC to a server where it can. ``wait`` is
    how many seconds a folder is waited for while another process has it, and a server that stops
    answering. ``journal`` is the folder that says what was done before: ``"auto"`` is in the
    store's own, and for a server on this machine; ``"off"`` is none.
    """

    location: str
    collection: str = "opticalrag"
    api_key: str | None = field(default=None, repr=False)
    engine: StoreEngine = "auto"
    tenant: str | None = None
    prefer_grpc: bool = False
    wait: float = 0.0
    journal: str = "auto"
    options: CollectionOptions = CollectionOptions()


@dataclass(frozen=True, slots=True)
class ChunkingConfig:
    """Options of the chunker.

    ``max_tokens`` is a hard cap on the embedded string (None: what the embedder reads);
    ``target_tokens`` is the size small neighbours are merged up to (None: the cap). Of the chunk
    before, sentences of up to ``overlap_tokens`` are repeated where both are text of one section
    on one page.
    """

    max_tokens: int | None = None
    target_tokens: int | None = None
    overlap_tokens: int = 0
    furniture: PageFurniture = "metadata"

    def __post_init__(self) -> None:
        """Refuse sizes that leave no room for text."""
        for name in ("max_tokens", "target_tokens"):
            value = getattr(self, name)
            if value is not None and value < MIN_TOKENS:
                raise ConfigError(
                    f"{name} is {value}; a chunk needs at least {MIN_TOKENS} tokens"
                    " to hold its context and a sentence"
                )
        if self.overlap_tokens < 0:
            raise ConfigError(f"overlap_tokens is {self.overlap_tokens}; it cannot be negative")

    def cap(self, readable: int) -> int:
        """The hard cap for an embedder that reads ``readable`` tokens.

        Raises:
            ConfigError: more is asked for than it reads; the rest would not be embedded.
        """
        if self.max_tokens is not None and self.max_tokens > readable:
            raise ConfigError(
                f"max_tokens is {self.max_tokens}, but the embedder reads {readable} tokens; choose"
                " at most that many or an embedder that reads more"
            )
        return self.max_tokens or readable

    @property
    def fingerprint(self) -> str:
        """Everything here that changes what chunks look like."""
        sizes = f"{self.max_tokens}:{self.target_tokens}:{self.overlap_tokens}"
        return f"chunk/3:{sizes}:{self.furniture}"


MIN_TOKENS = 32
