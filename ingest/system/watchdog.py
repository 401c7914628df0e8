"""When to kill a worker process, and how to explain its death. Independent of pages."""

from __future__ import annotations

import mmap
import signal
from pathlib import Path
from typing import Final, Literal

from ..core.config import WorkLimits

__all__ = [
    "INTERVAL",
    "Cause",
    "exceeded_limit",
    "explain_death",
    "pause_seconds",
    "resident_bytes",
]

Cause = Literal["timeout", "out_of_memory", "crashed"]

INTERVAL: Final = 0.05
"""Seconds between two checks of a worker. At 2 GB/s it overshoots its limit by 100 MB."""

_PAUSE: Final = 1.0
"""Seconds between two checks that mean this process was stopped, and not merely slow."""

_GIB: Final = 1024**3


def exceeded_limit(limits: WorkLimits, seconds: float, resident: int) -> Cause | None:
    """Return which limit a worker exceeds after ``seconds``, with ``resident`` bytes of memory."""
    if resident > limits.memory:
        return "out_of_memory"
    return "timeout" if seconds > limits.seconds else None


def pause_seconds(between: float) -> float:
    """Return for how many of the seconds between two checks this process was stopped.

    Ctrl+Z or a paused container stops the workers, too, so that time does not count against their
    items. The alarm inside each worker still ends one that hangs.
    """
    return between - INTERVAL if between > _PAUSE else 0.0


def resident_bytes(pid: int) -> int:
    """Return the memory a process uses; 0 if it ended or the system is not Linux.

    RLIMIT_AS would limit the address space instead: ONNX Runtime and torch reserve many times
    the memory they use.
    """
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
    except OSError:
        return 0
    return int(fields[1]) * mmap.PAGESIZE


def explain_death(cause: Cause, limits: WorkLimits | None, exit_code: int | None) -> str:
    """Explain why a worker process died, and what to do."""
    if cause == "timeout" and limits:
        return (
            f"it took more than {limits.seconds:g} s and was stopped; allow more time"
            " (--page-timeout, WorkLimits.seconds) or leave the page out (--pages)"
        )
    if cause == "out_of_memory" and limits:
        return (
            f"it took more than {limits.memory / _GIB:.3g} GiB of memory and was stopped; allow"
            " more (--page-memory, WorkLimits.memory) or leave the page out (--pages)"
        )
    return (
        f"the process that worked on it died{_exit_text(exit_code)}; leave the page out (--pages),"
        " or repair the file, for example with qpdf"
    )


def _exit_text(exit_code: int | None) -> str:
    if exit_code is None:
        return ""
    if exit_code >= 0:
        return f" (exit code {exit_code})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = ", which the system sends when memory runs out" if name == "SIGKILL" else ""
    return f" ({name}{hint})"
