"""The options that several commands share, and the configs that they become.

An option that several commands take on its own is an alias. Options that go together are a group: a
dataclass with one field per option. A command takes a group as one parameter if it is decorated
with :func:`grouped`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Final, Literal, get_type_hints

import typer

from ..core.config import (
    ChunkingConfig,
    EngineConfig,
    LayoutConfig,
    OpticalConfig,
    PageFurniture,
    SourceConfig,
    StoreConfig,
    TokenCacheConfig,
    VllmConfig,
    WorkLimits,
)
from ..core.errors import ConfigError
from ..core.modes import AUTO

__all__ = [
    "DEEPSEEK",
    "DEFAULT_COLLECTION",
    "DEFAULT_STORE",
    "DEFAULT_TOKENS",
    "OUTPUT",
    "RUN",
    "STORE",
    "ChunkingOptions",
    "CollectionOption",
    "DeviceOption",
    "FurnitureOption",
    "JournalOption",
    "JsonOption",
    "LimitOptions",
    "MaxOutputTokensOption",
    "ModelOption",
    "OcrModelOption",
    "PasswordOption",
    "PromptOption",
    "QdrantOption",
    "ReadingOptions",
    "StoreOptions",
    "TenantOption",
    "TokenOptions",
    "TokensOption",
    "grouped",
]

DEFAULT_STORE: Final = ".opticalrag/qdrant"
DEFAULT_COLLECTION: Final = "opticalrag"
DEFAULT_TOKENS: Final = TokenCacheConfig().location

READING: Final = "Reading"
DEEPSEEK: Final = "DeepSeek-OCR"
CHUNKING: Final = "Chunking"
EMBEDDING: Final = "Embedding"
STORE: Final = "Store"
LIMITS: Final = "Limits"
RUN: Final = "Run"
OUTPUT: Final = "Output"
"""Panels of the help."""

JsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON object to stdout.", rich_help_panel=OUTPUT)
]
PasswordOption = Annotated[
    str | None,
    typer.Option(
        help="Password of encrypted files.", envvar="OPTICALRAG_PASSWORD", rich_help_panel=READING
    ),
]
FurnitureOption = Annotated[
    PageFurniture,
    typer.Option(
        help="Keep running headers and footers in the text, drop them, or store them as metadata.",
        rich_help_panel=READING,
    ),
]
OcrModelOption = Annotated[
    str | None,
    typer.Option(
        help="Folder with the released files, hub id, or the model's name on the vLLM server.",
        envvar="OPTICALRAG_OCR_MODEL",
        rich_help_panel=DEEPSEEK,
    ),
]
PromptOption = Annotated[
    str,
    typer.Option(
        help="Prompt: markdown, free_ocr, ocr, figure, describe or locate:TEXT.",
        rich_help_panel=DEEPSEEK,
    ),
]
MaxOutputTokensOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum tokens per page; default: estimated from the text on the page.",
        rich_help_panel=DEEPSEEK,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Device: auto, cpu, cuda, or several GPUs such as cuda:0,cuda:1.",
        rich_help_panel=DEEPSEEK,
    ),
]
TokensOption = Annotated[
    str,
    typer.Option(
        help="Folder or URL (s3://...) of the vision-token cache.", envvar="OPTICALRAG_TOKENS"
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="Embedding model: its name or a local folder.", rich_help_panel=EMBEDDING),
]
QdrantOption = Annotated[
    str,
    typer.Option(
        help="Qdrant store: a server's URL or a folder.", envvar="QDRANT_URL", rich_help_panel=STORE
    ),
]
CollectionOption = Annotated[str, typer.Option(help="Qdrant collection.", rich_help_panel=STORE)]
TenantOption = Annotated[
    str | None,
    typer.Option(
        help="Use only this tenant's documents in a shared collection.", rich_help_panel=STORE
    ),
]
JournalOption = Annotated[
    str,
    typer.Option(
        help="Journal folder; auto: inside the store's folder, or .opticalrag/journal for a"
        " server; off: no journal.",
        envvar="OPTICALRAG_JOURNAL",
        rich_help_panel=STORE,
    ),
]


@dataclass(frozen=True)
class ReadingOptions:
    """How documents are opened and pages are read."""

    pages: Annotated[
        str | None,
        typer.Option(help="Pages to read, counted from 1, e.g. 1-3,7.", rich_help_panel=READING),
    ] = None
    password: PasswordOption = None
    engine: Annotated[
        str,
        typer.Option(
            help="Page engine: auto, layout (needs no GPU), deepseek-ocr or vllm.",
            rich_help_panel=READING,
        ),
    ] = "auto"
    ocr: Annotated[
        Literal["auto", "off", "force"],
        typer.Option(
            help="Layout engine: run OCR where there is no usable text (auto), never (off) or on"
            " every page (force).",
            rich_help_panel=READING,
        ),
    ] = "auto"
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that parse pages.", rich_help_panel=READING)
    ] = 1
    ocr_model: OcrModelOption = None
    mode: Annotated[
        str,
        typer.Option(
            help="Resolution: auto, tiny, small, base, large, gundam-6 or gundam.",
            rich_help_panel=DEEPSEEK,
        ),
    ] = AUTO
    max_output_tokens: MaxOutputTokensOption = None
    device: DeviceOption = "auto"
    vllm_url: Annotated[
        str | None,
        typer.Option(
            help="vLLM server as http://host:port; its API key is read from"
            " OPTICALRAG_VLLM_API_KEY.",
            envvar="OPTICALRAG_VLLM_URL",
            rich_help_panel=DEEPSEEK,
        ),
    ] = None

    def source(self) -> SourceConfig:
        """How documents are opened."""
        return SourceConfig(self.password, self.pages)

    def config(
        self,
        *,
        prompt: str = "markdown",
        tokens: TokenCacheConfig | None = None,
        limits: WorkLimits | None = None,
    ) -> EngineConfig:
        """Which engine reads the pages, and how.

        Args:
            prompt: what DeepSeek-OCR is asked.
            tokens: where DeepSeek-OCR caches vision tokens; None: nowhere.
            limits: time and memory for each page; None: unlimited.
        """
        optical = OpticalConfig(
            self.ocr_model,
            mode=self.mode,
            prompt=prompt,
            device=self.device,
            max_output_tokens=self.max_output_tokens,
            tokens=tokens,
        )
        return EngineConfig(
            self.engine,
            self.workers,
            LayoutConfig(ocr=self.ocr),
            optical,
            limits,
            self._vllm_server(),
        )

    def _vllm_server(self) -> VllmConfig | None:
        if self.engine != "vllm" or self.vllm_url is None:
            return None
        # The key is not an option: other users of the machine can read a command's arguments.
        server = VllmConfig(self.vllm_url, os.environ.get("OPTICALRAG_VLLM_API_KEY"))
        return replace(server, model=self.ocr_model) if self.ocr_model else server


@dataclass(frozen=True)
class TokenOptions:
    """Where and how DeepSeek-OCR caches vision tokens."""

    tokens: Annotated[
        str,
        typer.Option(
            help="Folder or URL for the vision-token cache, or off.",
            envvar="OPTICALRAG_TOKENS",
            rich_help_panel=DEEPSEEK,
        ),
    ] = DEFAULT_TOKENS
    codec: Annotated[
        Literal["lossless", "int8", "int4"],
        typer.Option(help="Encoding of cached vision tokens.", rich_help_panel=DEEPSEEK),
    ] = "lossless"

    def config(self) -> TokenCacheConfig | None:
        """The cache's config; None: no cache."""
        return None if self.tokens == "off" else TokenCacheConfig(self.tokens, codec=self.codec)


@dataclass(frozen=True)
class ChunkingOptions:
    """How text becomes chunks, and chunks vectors."""

    furniture: FurnitureOption = "metadata"
    model: ModelOption = None
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Maximum tokens per chunk; default: the embedding model's limit.",
            rich_help_panel=CHUNKING,
        ),
    ] = None
    target_tokens: Annotated[
        int | None,
        typer.Option(
            help="Merge small neighbours up to this many tokens; default: the maximum.",
            rich_help_panel=CHUNKING,
        ),
    ] = None
    overlap_tokens: Annotated[
        int,
        typer.Option(
            min=0,
            help="Tokens of the previous chunk to repeat, in whole sentences.",
            rich_help_panel=CHUNKING,
        ),
    ] = 0

    def config(self) -> ChunkingConfig:
        """Sizes of chunks."""
        return ChunkingConfig(
            self.max_tokens, self.target_tokens, self.overlap_tokens, self.furniture
        )


@dataclass(frozen=True)
class StoreOptions:
    """Which store is opened, and how."""

    qdrant: QdrantOption = DEFAULT_STORE
    collection: CollectionOption = DEFAULT_COLLECTION
    tenant: TenantOption = None
    api_key: Annotated[
        str | None,
        typer.Option(
            help="API key of the Qdrant server.", envvar="QDRANT_API_KEY", rich_help_panel=STORE
        ),
    ] = None
    grpc: Annotated[
        bool, typer.Option("--grpc", help="Use gRPC with the server.", rich_help_panel=STORE)
    ] = False
    wait: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds to wait for a folder in use or a server that does not answer.",
            rich_help_panel=STORE,
        ),
    ] = 0

    def config(self, journal: str = "auto") -> StoreConfig:
        """The store and its journal."""
        return StoreConfig(
            self.qdrant,
            self.collection,
            self.api_key,
            tenant=self.tenant,
            prefer_grpc=self.grpc,
            wait=self.wait,
            journal=journal,
        )


@dataclass(frozen=True)
class LimitOptions:
    """Time and memory for one page."""

    page_timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds allowed for opening a file or reading a page.",
            rich_help_panel=LIMITS,
        ),
    ] = WorkLimits().seconds
    page_memory: Annotated[
        float,
        typer.Option(
            min=0.25,
            help="GiB of memory allowed for reading a page (Linux only).",
            rich_help_panel=LIMITS,
        ),
    ] = WorkLimits().memory / 1024**3

    def config(self) -> WorkLimits:
        """The limits of a worker process.

        Raises:
            ConfigError: the limits are not finite or too small.
        """
        if not math.isfinite(self.page_memory):
            raise ConfigError(f"--page-memory is {self.page_memory:g}: use a number of GiB")
        return WorkLimits(self.page_timeout, int(self.page_memory * 1024**3))


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter that is an option group by the options of the group.

    Typer makes one option of each parameter in a command's signature. This builds that signature,
    and the groups from the values that Typer passes.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            parameters += _options_of(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    flat = signature(command).replace(parameters=parameters)

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        values = flat.bind(*args, **kwargs).arguments
        for name, group in groups.items():
            names = [field.name for field in fields(group) if field.name in values]
            values[name] = group(**{field: values.pop(field) for field in names})
        command(**values)

    run.__signature__ = flat  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _options_of(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]
