"""What a worker process does: answers calls that come through its pipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from pathlib import Path
from typing import Final

__all__ = ["serve"]

_ALARM_GRACE: Final = 3.0  # seconds within which the watchdog has killed who is over the limit


def serve(connection: Connection, environment: Mapping[str, str]) -> None:
    """Answer calls until the other side is gone."""
    # Ctrl+C reaches every process of a terminal; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Here, not in the parent's environment: nothing heavy is imported before the first call.
    os.environ.update(environment)
    _volunteer()
    with ThreadPoolExecutor(1) as thread:  # its futures carry whatever a call raises
        while True:
            error = thread.submit(_answer, connection).exception()
            if isinstance(error, SystemExit):
                return
            if error is not None:
                _send_error(connection, error)


def _send_error(connection: Connection, error: BaseException) -> None:
    """Send what a call raised; if it cannot be sent, as errors of MuPDF, its name only."""
    try:
        connection.send((ExceptionWithTraceback(error, error.__traceback__), None))
    except OSError:  # the other end is gone
        raise
    except Exception:  # noqa: BLE001  whatever an error refuses to be sent with; nothing was yet
        name = type(error).__name__
        connection.send((RuntimeError(f"{name}, which cannot be sent between processes"), None))


def _volunteer() -> None:
    """Ask the kernel to end this process rather than its parent when memory runs out."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text("800")


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Have the kernel end this process, should nobody be left to do it.

    Native code that hangs does not see that the parent is gone.
    """
    if seconds is None or not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds + _ALARM_GRACE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(connection: Connection) -> None:
    try:
        function, item, seconds = connection.recv()
        connection.send(None)  # all is imported
    except (EOFError, OSError):
        raise SystemExit from None
    with _alarm(seconds):
        answer = (None, function(item))
    try:
        connection.send(answer)
    except OSError:
        raise SystemExit from None
