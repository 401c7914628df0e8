"""Hides the progress bars of libraries, because the command line draws its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hide_progress_bars"]


@contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing progress bars on stderr while it loads weights."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
