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
from functools import partial, wraps
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
    "DEFAULT_COLLECTION",
    "DEFAULT_STORE",
    "DEFAULT_TOKENS",
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
    "deepseek_option",
    "embedding_option",
    "grouped",
    "output_option",
    "run_option",
]

DEFAULT_STORE: Final = ".opticalrag/qdrant"
DEFAULT_COLLECTION: Final = "opticalrag"
DEFAULT_TOKENS: Final = TokenCacheConfig().location

# Options by the panel of the help that shows them.
reading_option = partial(typer.Option, rich_help_panel="Reading")
deepseek_option = partial(typer.Option, rich_help_panel="DeepSeek-OCR")
chunking_option = partial(typer.Option, rich_help_panel="Chunking")
embedding_option = partial(typer.Option, rich_help_panel="Embedding")
store_option = partial(typer.Option, rich_help_panel="Store")
limits_option = partial(typer.Option, rich_help_panel="Limits")
run_option = partial(typer.Option, rich_help_panel="Run")
output_option = partial(typer.Option, rich_help_panel="Output")

JsonOption = Annotated[bool, output_option("--json", help="Write one JSON object to stdout.")]
PasswordOption = Annotated[
    str | None, reading_option(help="Password of encrypted files.", envvar="OPTICALRAG_PASSWORD")
]
FurnitureOption = Annotated[
    PageFurniture,
    reading_option(
        help="Keep running headers and footers in the text, drop them, or store them as metadata."
    ),
]
OcrModelOption = Annotated[
    str | None,
    deepseek_option(
        help="Folder with the released files, hub id, or the model's name on the vLLM server.",
        envvar="OPTICALRAG_OCR_MODEL",
    ),
]
PromptOption = Annotated[
    str, deepseek_option(help="Prompt: markdown, free_ocr, ocr, figure, describe or locate:TEXT.")
]
MaxOutputTokensOption = Annotated[
    int | None,
    deepseek_option(
        min=1, help="Maximum tokens per page; default: estimated from the text on the page."
    ),
]
DeviceOption = Annotated[
    str, deepseek_option(help="Device: auto, cpu, cuda, or several GPUs such as cuda:0,cuda:1.")
]
TokensOption = Annotated[
    str,
    typer.Option(
        help="Folder or URL (s3://...) of the vision-token cache.", envvar="OPTICALRAG_TOKENS"
    ),
]
ModelOption = Annotated[
    str | None, embedding_option(help="Embedding model: its name or a local folder.")
]
QdrantOption = Annotated[
    str, store_option(help="Qdrant store: a server's URL or a folder.", envvar="QDRANT_URL")
]
CollectionOption = Annotated[str, store_option(help="Qdrant collection.")]
TenantOption = Annotated[
    str | None, store_option(help="Use only this tenant's documents in a shared collection.")
]
JournalOption = Annotated[
    str,
    store_option(
        help="Journal folder; auto: inside the store's folder, or .opticalrag/journal for a"
        " server; off: no journal.",
        envvar="OPTICALRAG_JOURNAL",
    ),
]


@dataclass(frozen=True)
class ReadingOptions:
    """How documents are opened and pages are read."""

    pages: Annotated[
        str | None, reading_option(help="Pages to read, counted from 1, e.g. 1-3,7.")
    ] = None
    password: PasswordOption = None
    engine: Annotated[
        str, reading_option(help="Page engine: auto, layout (needs no GPU), deepseek-ocr or vllm.")
    ] = "auto"
    ocr: Annotated[
        Literal["auto", "off", "force"],
        reading_option(
            help="Layout engine: run OCR where there is no usable text (auto), never (off) or on"
            " every page (force)."
        ),
    ] = "auto"
    links: Annotated[
        bool, reading_option("--links", help="Layout engine: write links as Markdown.")
    ] = False
    workers: Annotated[int, reading_option(min=1, help="Processes that parse pages.")] = 1
    ocr_model: OcrModelOption = None
    mode: Annotated[
        str, deepseek_option(help="Resolution: auto, tiny, small, base, large, gundam-6 or gundam.")
    ] = AUTO
    max_output_tokens: MaxOutputTokensOption = None
    device: DeviceOption = "auto"
    vllm_url: Annotated[
        str | None,
        deepseek_option(
            help="vLLM server as http://host:port; its API key is read from"
            " OPTICALRAG_VLLM_API_KEY.",
            envvar="OPTICALRAG_VLLM_URL",
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
        """Which engine reads the pages, and how."""
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
            LayoutConfig(ocr=self.ocr, links=self.links),
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
        deepseek_option(
            help="Folder or URL for the vision-token cache, or off.", envvar="OPTICALRAG_TOKENS"
        ),
    ] = DEFAULT_TOKENS
    codec: Annotated[
        Literal["lossless", "int8", "int4"],
        deepseek_option(help="Encoding of cached vision tokens."),
    ] = "lossless"

    def config(self) -> TokenCacheConfig | None:
        """The cache's config; None: no cache."""
        return None if self.tokens == "off" else TokenCacheConfig(self.tokens, codec=self.codec)


@dataclass(frozen=True)
class ChunkingOptions:
    """How text becomes chunks."""

    furniture: FurnitureOption = "metadata"
    max_tokens: Annotated[
        int | None,
        chunking_option(help="Maximum tokens per chunk; default: the embedding model's limit."),
    ] = None
    target_tokens: Annotated[
        int | None,
        chunking_option(
            help="Merge small neighbours up to this many tokens; default: the maximum."
        ),
    ] = None
    overlap_tokens: Annotated[
        int,
        chunking_option(min=0, help="Tokens of the previous chunk to repeat, in whole sentences."),
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
        str | None, store_option(help="API key of the Qdrant server.", envvar="QDRANT_API_KEY")
    ] = None
    grpc: Annotated[bool, store_option("--grpc", help="Use gRPC with the server.")] = False
    wait: Annotated[
        float,
        store_option(
            min=0, help="Seconds to wait for a folder in use or a server that does not answer."
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
        float, limits_option(min=0.1, help="Seconds allowed for opening a file or reading a page.")
    ] = WorkLimits().seconds
    page_memory: Annotated[
        float,
        limits_option(min=0.25, help="GiB of memory allowed for reading a page (Linux only)."),
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
