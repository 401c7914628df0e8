"""Builds the page engine that a configuration names."""

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
from ..system.cuda import has_cuda_driver
from ..system.workers import WorkerPool

if TYPE_CHECKING:
    from ..token_cache.cache import TokenCache
    from .deepseek_ocr.model import DeepSeekOcr
    from .multi_gpu import Job

__all__ = ["ENGINES", "EngineName", "load_model", "make_engine", "resolve_engine"]

EngineName = Literal["auto", "layout", "deepseek-ocr", "vllm"]
ENGINES: tuple[EngineName, ...] = ("auto", "layout", "deepseek-ocr", "vllm")

# Decoding spends its time on reading the weights, which all pages of a batch share. A GPU has
# memory for many pages. On a CPU, small batches keep the machine responsive.
_GPU_BATCH = 32
_CPU_BATCH = 2

_log = logging.getLogger(__name__)


def resolve_engine(name: str, optical: OpticalConfig | None = None) -> str:
    """Return the name of an engine, with ``"auto"`` replaced, and log that choice once.

    ``"auto"`` means DeepSeek-OCR if there is a GPU and the weights are on this machine, else the
    layout engine. Nothing is downloaded.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in ENGINES:
        raise ConfigError(f"unknown engine {name!r}; choose one of {', '.join(ENGINES)}")
    if name != "auto":
        return name
    missing = _why_not_optical(optical or OpticalConfig())
    _log_auto(missing)
    return "layout" if missing else "deepseek-ocr"


def make_engine(config: EngineConfig | None = None) -> PageEngine:
    """Build the engine that a configuration names.

    The last model loaded stays in memory, for the next engine with the same model.

    Raises:
        ConfigError: an unknown engine, or an invalid option.
        EngineError: the model of DeepSeek-OCR cannot be loaded.
        MissingExtra: a required extra is not installed.
    """
    config = config or EngineConfig()
    name = resolve_engine(config.name, config.optical)
    from .layout import LayoutEngine

    if name == "layout":
        return LayoutEngine(config.layout, workers=config.workers, limits=config.limits)
    if name == "vllm":
        return _make_vllm(config)
    if "," in config.optical.device:
        return _make_multi_gpu(name, config)
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


def load_model(config: OpticalConfig | None = None) -> DeepSeekOcr:
    """Load the model that a configuration names. The last model loaded stays in memory.

    Raises:
        ConfigError: ``device`` is a list; only :func:`make_engine` accepts lists.
        EngineError: the model cannot be loaded.
        MissingExtra: the ``gpu`` extra is not installed.
    """
    config = config or OpticalConfig()
    if "," in config.device:
        raise ConfigError(f"device is {config.device!r}, but a model runs on one; choose cuda:0")
    return _load(config.model, config.revision, config.device, config.kernels)


def _make_vllm(config: EngineConfig) -> PageEngine:
    from .deepseek_ocr.vllm.engine import VllmEngine
    from .layout import LayoutEngine

    if config.vllm is None:
        raise ConfigError("the engine 'vllm' needs the URL of a server: set vllm_url")
    return VllmEngine(
        config.vllm,
        config.optical,
        fallback=LayoutEngine(config.layout, limits=config.limits),
        pool=WorkerPool(config.workers, config.limits),
    )


def _make_multi_gpu(name: str, config: EngineConfig) -> PageEngine:
    """Build an engine with one process per device, for a list such as ``"cuda:0,cuda:1"``."""
    from .multi_gpu import MultiGpuEngine, device_environments

    devices = [device.strip() for device in config.optical.device.split(",")]
    kinds = {device.partition(":")[0] for device in devices}
    if len(kinds) != 1 or not kinds <= {"cpu", "cuda"} or (kinds == {"cuda"} and "cuda" in devices):
        raise ConfigError(
            f"invalid devices {config.optical.device!r}: list GPUs by number, as cuda:0,cuda:1"
        )
    if config.workers > 1:
        message = "workers=%d has no effect with %d devices: each has one process, which also draws"
        _log.warning(message, config.workers, len(devices))
    optical = replace(config.optical, device=kinds.pop())
    process_config = replace(config, name=name, optical=optical, workers=1, limits=None)
    return MultiGpuEngine(
        name,
        process_config,
        read=_read_job,
        fingerprint=_fingerprint_here,
        environments=device_environments(devices, os.environ.get("CUDA_VISIBLE_DEVICES")),
        limits=config.limits,
    )


# The next three functions run in the processes of MultiGpuEngine. They call make_engine, so in
# multi_gpu.py they would make these two modules import each other.
@lru_cache(maxsize=1)
def _engine_here(config: EngineConfig) -> PageEngine:
    return make_engine(config)


def _read_job(job: Job) -> list[PageOutcome]:
    return list(_engine_here(job.config).parse(job.tasks))


def _fingerprint_here(config: EngineConfig) -> str:
    return _engine_here(config).fingerprint


def _open_cache(config: TokenCacheConfig | None) -> TokenCache | None:
    if config is None:
        return None
    from ..token_cache.cache import TokenCache

    try:
        return TokenCache(config)
    except CacheError as error:
        _log.warning("vision tokens are not cached: %s", error)
        return None


@lru_cache(maxsize=1)
def _load(
    source: str | None, revision: str | None, device: str, kernels: KernelPolicy
) -> DeepSeekOcr:
    from .deepseek_ocr.checkpoint.locate import DEFAULT_MODEL
    from .deepseek_ocr.model import DeepSeekOcr

    return DeepSeekOcr(source or DEFAULT_MODEL, revision=revision, device=device, kernels=kernels)


def _why_not_optical(config: OpticalConfig) -> str:
    """Return why DeepSeek-OCR cannot run here; empty if it can."""
    if util.find_spec("torch") is None or util.find_spec("transformers") is None:
        return "the gpu extra is not installed"
    if config.device == "cpu" or not has_cuda_driver():
        return "there is no GPU"
    import torch

    if not torch.cuda.is_available():
        return "torch finds no GPU"
    from .deepseek_ocr.checkpoint.locate import DEFAULT_MODEL, locate

    try:
        locate(config.model or DEFAULT_MODEL, config.revision, download=False)
    except EngineError:
        return "the weights of DeepSeek-OCR are not here (opticalrag models download)"
    return ""


@cache
def _log_auto(missing: str) -> None:
    if missing:
        _log.info("engine auto: reading pages with the layout engine, because %s", missing)
    else:
        _log.info("engine auto: reading pages with DeepSeek-OCR, on the GPU")
