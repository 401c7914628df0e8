"""Keeps libraries from drawing on a terminal that is ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_progress_bar"]


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar on stderr while it loads weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
