"""Which engine reads the pages: a choice by name, made in one place."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from functools import cache, lru_cache
from importlib import util
from typing import TYPE_CHECKING, Literal

from ..core.config import EngineConfig, KernelPolicy, OpticalConfig, TokenCacheConfig
from ..core.errors import CacheError, ConfigError, EngineError
from ..core.protocols import PageEngine
from ..core.records import PageOutcome
from ..system.workers import WorkerPool

if TYPE_CHECKING:
    from ..token_cache.cache import TokenCache
    from .deepseek_ocr.model import DeepSeekOcr
    from .multi_gpu import Job

__all__ = ["ENGINES", "EngineName", "load_model", "make_engine", "resolve_engine"]

EngineName = Literal["auto", "layout", "deepseek-ocr", "vllm"]
ENGINES: tuple[EngineName, ...] = ("auto", "layout", "deepseek-ocr", "vllm")

# Decoding is bound by reading the weights, which a batch shares; a GPU holds the cache of many
# pages, a CPU is kept responsive.
_GPU_BATCH = 32
_CPU_BATCH = 2

_log = logging.getLogger(__name__)


def resolve_engine(name: str, optical: OpticalConfig | None = None) -> str:
    """Turn ``"auto"`` into the engine that can run here, and say so once.

    The optical engine is chosen where there is a GPU and the weights are already here: nothing
    is downloaded that nobody asked for.

    Raises:
        ConfigError: no engine has this name.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine is {name!r}; choose one of {', '.join(ENGINES)}")
    if name != "auto":
        return name
    missing = _why_not_optical(optical or OpticalConfig())
    _say_auto(missing)
    return "layout" if missing else "deepseek-ocr"


def make_engine(config: EngineConfig | None = None) -> PageEngine:
    """Build the engine a configuration names.

    A model once loaded stays in memory for the next engine that asks for the same one.

    Raises:
        ConfigError: no engine has this name, or an option cannot work.
        EngineError: the optical engine's model cannot be loaded.
        MissingExtra: what the engine needs is not installed.
    """
    config = config or EngineConfig()
    name = resolve_engine(config.name, config.optical)
    from .layout import LayoutEngine

    if name == "layout":
        return LayoutEngine(config.layout, workers=config.workers, limits=config.limits)
    if name == "vllm":
        return _ask_server(config)
    if "," in config.optical.device:
        return _spread(name, config)
    from .deepseek_ocr.engine import DeepSeekOcrEngine

    optical = config.optical
    model = load_model(optical)
    return DeepSeekOcrEngine(
        model,
        optical,
        fallback=LayoutEngine(config.layout, limits=config.limits),
        cache=_open_cache(optical.tokens),
        pool=WorkerPool(config.workers, config.limits),
        batch=_CPU_BATCH if model.runtime.device == "cpu" else _GPU_BATCH,
    )


def _spread(name: str, config: EngineConfig) -> PageEngine:
    """The engine in a process per device of a list such as ``"cuda:0,cuda:1"``."""
    from .multi_gpu import SpreadEngine, environments_of

    devices = [device.strip() for device in config.optical.device.split(",")]
    kinds = {device.partition(":")[0] for device in devices}
    if len(kinds) != 1 or not kinds <= {"cpu", "cuda"} or (kinds == {"cuda"} and "cuda" in devices):
        raise ConfigError(f"device is {config.optical.device!r}; list GPUs as cuda:0,cuda:1")
    # Workers have no processes of their own: they draw pages themselves.
    if config.workers > 1:
        _log.warning(
            "workers is %d, which changes nothing here: each of the %d devices has one process,"
            " which also draws its pages", config.workers, len(devices),
        )  # fmt: skip
    optical = replace(config.optical, device=kinds.pop())
    alone = replace(config, name=name, optical=optical, workers=1, limits=None)
    return SpreadEngine(
        name,
        alone,
        read=_read_job,
        fingerprint=_fingerprint_here,
        environments=environments_of(devices, os.environ.get("CUDA_VISIBLE_DEVICES")),
        limits=config.limits,
    )


@lru_cache(maxsize=1)
def _engine_here(config: EngineConfig) -> PageEngine:
    return make_engine(config)


def _read_job(job: Job) -> list[PageOutcome]:
    return list(_engine_here(job.config).parse(job.tasks))


def _fingerprint_here(config: EngineConfig) -> str:
    return _engine_here(config).fingerprint


def _ask_server(config: EngineConfig) -> PageEngine:
    from .deepseek_ocr.vllm.engine import VllmEngine
    from .layout import LayoutEngine

    if config.vllm is None:
        raise ConfigError("the engine vllm needs a server: --vllm-url, OPTICALRAG_VLLM_URL")
    return VllmEngine(
        config.vllm,
        config.optical,
        fallback=LayoutEngine(config.layout, limits=config.limits),
        pool=WorkerPool(config.workers, config.limits),
    )


def load_model(config: OpticalConfig | None = None) -> DeepSeekOcr:
    """The model a configuration names; once loaded it stays in memory.

    Raises:
        ConfigError: a list of devices, of which only :func:`make_engine` makes use.
        EngineError: it cannot be loaded.
        MissingExtra: what it needs is not installed.
    """
    config = config or OpticalConfig()
    if "," in config.device:
        raise ConfigError(f"device is {config.device!r}; one model runs on one: choose cuda:0")
    return _load(config.model, config.revision, config.device, config.kernels)


def _open_cache(config: TokenCacheConfig | None) -> TokenCache | None:
    if config is None:
        return None
    from ..token_cache.cache import TokenCache

    try:
        return TokenCache(config)
    except CacheError as error:
        _log.warning("vision tokens are not kept: %s", error)
        return None


@lru_cache(maxsize=1)
def _load(
    source: str | None, revision: str | None, device: str, kernels: KernelPolicy
) -> DeepSeekOcr:
    from .deepseek_ocr.checkpoint.locate import DEFAULT_MODEL
    from .deepseek_ocr.model import DeepSeekOcr

    return DeepSeekOcr(source or DEFAULT_MODEL, revision=revision, device=device, kernels=kernels)


def _why_not_optical(config: OpticalConfig) -> str:
    """What the optical engine lacks here; empty if nothing."""
    if util.find_spec("torch") is None or util.find_spec("transformers") is None:
        return "the gpu extra is not installed"
    import torch

    if config.device == "cpu" or not torch.cuda.is_available():
        return "there is no GPU"
    from .deepseek_ocr.checkpoint.locate import DEFAULT_MODEL, locate

    try:
        locate(config.model or DEFAULT_MODEL, config.revision, download=False)
    except EngineError:
        return "the weights of DeepSeek-OCR are not here (opticalrag models download)"
    return ""


@cache
def _say_auto(missing: str) -> None:
    if missing:
        _log.info("engine auto: reading pages with the layout engine, because %s", missing)
    else:
        _log.info("engine auto: reading pages with DeepSeek-OCR, on the GPU")
