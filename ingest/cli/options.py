"""Options that several commands share: name, help and environment variable of each."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from ..core.config import (
    OpticalConfig,
    PageFurniture,
    StoreEngine,
    TokenCacheConfig,
    VllmConfig,
    WorkLimits,
)
from ..core.errors import ConfigError

__all__ = [
    "DEFAULT_COLLECTION",
    "DEFAULT_PAGE_MEMORY",
    "DEFAULT_PAGE_TIMEOUT",
    "DEFAULT_STORE",
    "DEFAULT_TOKENS",
    "ApiKeyOption",
    "BudgetOption",
    "CodecOption",
    "CollectionOption",
    "DeviceOption",
    "EngineOption",
    "FurnitureOption",
    "GrpcOption",
    "JournalOption",
    "JsonOption",
    "KeepTokensOption",
    "MaxTokensOption",
    "ModeOption",
    "ModelOption",
    "OcrModelOption",
    "OcrOption",
    "OverlapOption",
    "PageMemoryOption",
    "PageTimeoutOption",
    "PagesOption",
    "PasswordOption",
    "PromptOption",
    "QdrantOption",
    "ReportOption",
    "StoreEngineOption",
    "TargetTokensOption",
    "TenantOption",
    "VllmOption",
    "WaitOption",
    "WorkersOption",
    "optical_config",
    "vllm_server",
    "work_limits",
]

PagesOption = Annotated[str | None, typer.Option(help="Pages, 1-based, e.g. 1-3,7.")]
EngineOption = Annotated[
    str, typer.Option(help="auto, layout (needs no GPU), deepseek-ocr or vllm.")
]
OcrModelOption = Annotated[
    str | None,
    typer.Option(
        help="DeepSeek-OCR: folder with the released files, hub id, or name on the vLLM server.",
        envvar="OPTICALRAG_OCR_MODEL",
    ),
]
ModeOption = Annotated[
    str, typer.Option(help="DeepSeek-OCR: auto, tiny, small, base, large, gundam-6 or gundam.")
]
PromptOption = Annotated[
    str,
    typer.Option(help="DeepSeek-OCR: markdown, free_ocr, ocr, figure, describe or locate:TEXT."),
]
BudgetOption = Annotated[
    int | None,
    typer.Option(min=1, help="DeepSeek-OCR: most tokens per page; default: by the text expected."),
]
VllmOption = Annotated[
    str | None,
    typer.Option(
        "--vllm-url",
        help="vllm: the server, http://host:port; its key is in OPTICALRAG_VLLM_API_KEY.",
        envvar="OPTICALRAG_VLLM_URL",
    ),
]
DeviceOption = Annotated[
    str, typer.Option(help="DeepSeek-OCR: auto, cpu, cuda, or GPUs: cuda:0,cuda:1.")
]
PasswordOption = Annotated[
    str | None, typer.Option(help="Opens encrypted files.", envvar="OPTICALRAG_PASSWORD")
]
FurnitureOption = Annotated[
    PageFurniture, typer.Option(help="Running headers and footers: in the text or not.")
]
OcrOption = Annotated[
    Literal["auto", "off", "force"], typer.Option(help="OCR of pages without usable text.")
]
PageTimeoutOption = Annotated[
    float, typer.Option(min=0.1, help="Seconds a page, or opening a file, may take.")
]
PageMemoryOption = Annotated[
    float, typer.Option(min=0.25, help="GiB of memory that reading a page may take (Linux).")
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report", help="HTML file: figures, failures, pictures of failed and doubtful pages."
    ),
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that parse pages.")]
QdrantOption = Annotated[
    str, typer.Option(help="Qdrant: a server's URL or a folder.", envvar="QDRANT_URL")
]
CollectionOption = Annotated[str, typer.Option(help="Qdrant collection.")]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(envvar="QDRANT_API_KEY", show_envvar=True, help="API key of the server."),
]
StoreEngineOption = Annotated[
    StoreEngine,
    typer.Option(help="What keeps a new folder: edge, or local, which QdrantVectorStore opens."),
]
TenantOption = Annotated[
    str | None,
    typer.Option(help="Whose documents, where several share a collection."),
]
WaitOption = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for a folder in use, or a server.")
]
JournalOption = Annotated[
    str,
    typer.Option(
        help="Folder that says what was done before; auto: in the store's, or here; off: none.",
        envvar="OPTICALRAG_JOURNAL",
    ),
]
GrpcOption = Annotated[bool, typer.Option("--grpc", help="Speak gRPC to the server.")]
ModelOption = Annotated[str | None, typer.Option(help="Embedding model: a name or local path.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

MaxTokensOption = Annotated[
    int | None, typer.Option(help="Cap of a chunk; default: what the model reads.")
]
TargetTokensOption = Annotated[
    int | None,
    typer.Option(help="What small neighbours are merged up to; default: the cap."),
]
OverlapOption = Annotated[
    int, typer.Option(min=0, help="Of the chunk before, repeated in whole sentences.")
]
KeepTokensOption = Annotated[
    str,
    typer.Option(
        "--tokens",
        help="DeepSeek-OCR: folder or URL that keeps vision tokens for redecode; off: keep none.",
        envvar="OPTICALRAG_TOKENS",
    ),
]
CodecOption = Annotated[
    Literal["lossless", "int8", "int4"], typer.Option(help="How vision tokens are kept.")
]


def vllm_server(engine: str, url: str | None, model: str | None) -> VllmConfig | None:
    """The server an engine needs, if it needs one. Its key is no option: others see those."""
    if engine != "vllm" or url is None:
        return None
    key = os.environ.get("OPTICALRAG_VLLM_API_KEY")
    server = VllmConfig(url, key)
    return replace(server, model=model) if model else server


def optical_config(
    model: str | None,
    mode: str,
    device: str,
    max_output_tokens: int | None,
    tokens: str,
    codec: Literal["lossless", "int8", "int4"],
) -> OpticalConfig:
    """How DeepSeek-OCR reads pages for a collection, and where their vision tokens are kept."""
    return OpticalConfig(
        model,
        mode=mode,
        device=device,
        max_output_tokens=max_output_tokens,
        tokens=None if tokens == "off" else TokenCacheConfig(tokens, codec=codec),
    )


def work_limits(seconds: float, gigabytes: float) -> WorkLimits:
    """Limits of a page from their options.

    Raises:
        ConfigError: under such limits nothing can be read, or they cannot be kept.
    """
    if math.isinf(gigabytes):
        raise ConfigError(f"--page-memory is {gigabytes:g}; name a number of GiB")
    return WorkLimits(seconds, int(gigabytes * 1024**3))


DEFAULT_PAGE_TIMEOUT: Final = WorkLimits().seconds
DEFAULT_PAGE_MEMORY: Final = WorkLimits().memory / 1024**3
DEFAULT_STORE: Final = ".opticalrag/qdrant"
DEFAULT_COLLECTION: Final = "opticalrag"
DEFAULT_TOKENS: Final = TokenCacheConfig().location
