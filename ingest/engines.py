"""Which engine reads the pages: a choice by name, made in one place."""

from __future__ import annotations

import logging
from functools import cache
from typing import Literal

from .config import ConfigError, EngineConfig
from .protocols import PageEngine

__all__ = ["ENGINES", "EngineName", "make_engine", "resolve_engine"]

EngineName = Literal["auto", "layout"]
ENGINES: tuple[EngineName, ...] = ("auto", "layout")

_log = logging.getLogger(__name__)


def resolve_engine(name: str) -> str:
    """Turn ``"auto"`` into the engine that can run here, and say so once.

    Raises:
        ConfigError: no engine has this name.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine is {name!r}; choose one of {', '.join(ENGINES)}")
    if name == "auto":
        _say_auto()
        return "layout"
    return name


def make_engine(config: EngineConfig | None = None) -> PageEngine:
    """Build the engine a configuration names.

    Raises:
        ConfigError: no engine has this name.
    """
    config = config or EngineConfig()
    resolve_engine(config.name)
    from .layout import LayoutEngine

    return LayoutEngine(config.layout, workers=config.workers)


@cache
def _say_auto() -> None:
    _log.info("engine auto: reading pages with the layout engine, on the CPU")
