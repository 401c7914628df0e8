"""When a worker process is stopped, and how its end is explained. Knows nothing of pages."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final, Literal

from ..core.config import WorkLimits

__all__ = ["INTERVAL", "Cause", "exceeded", "explain", "paused_for", "resident_bytes"]

Cause = Literal["timeout", "out_of_memory", "crashed"]

INTERVAL: Final = 0.05
"""Seconds between two looks at a worker: at 2 GB/s it takes 100 MB more than allowed."""

_PAUSE: Final = 1.0
"""Seconds between two looks that say that this process was stopped, not only slow."""

_PAGE_BYTES: Final = 4096
_GIB: Final = 1024**3


def exceeded(limits: WorkLimits, seconds: float, resident: int) -> Cause | None:
    """Which limit an item breaks that was worked on for so long by a process of this size."""
    if resident > limits.memory:
        return "out_of_memory"
    return "timeout" if seconds > limits.seconds else None


def paused_for(between: float) -> float:
    """Seconds of those between two looks in which this process did not run.

    Ctrl+Z stops the workers with it, and a container that is paused all it holds: what they work
    on took none of that time. One that hangs is still ended, by the alarm of its own process.
    """
    return between - INTERVAL if between > _PAUSE else 0.0


def resident_bytes(pid: int) -> int:
    """Memory a process has in use; 0 where the system does not say (no Linux) or it ended.

    Not its address space (RLIMIT_AS): ONNX Runtime and torch reserve many times what they use.
    """
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
    except OSError:
        return 0
    return int(fields[1]) * _page_size()


def _page_size() -> int:
    try:
        from resource import getpagesize
    except ImportError:  # Windows
        return _PAGE_BYTES
    return getpagesize()


def explain(cause: Cause, limits: WorkLimits | None, exit_code: int | None) -> str:
    """What happened to the process that worked on something, and what can be done."""
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
        f"the process that worked on it died{_how(exit_code)}; leave the page out (--pages), or"
        " repair the file, for example with qpdf"
    )


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return ""
    if exit_code >= 0:
        return f" (exit code {exit_code})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f" ({name}{hint})"
