"""The program of a worker process: it answers calls that arrive through its pipe."""

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

_ALARM_GRACE: Final = 3.0  # seconds that the parent's watchdog has to act first


def serve(connection: Connection, environment: Mapping[str, str]) -> None:
    """Answer calls until the parent closes the pipe.

    Args:
        connection: receives ``(function, item, seconds)``. Sends None once that is unpickled,
            then ``(error, result)``.
        environment: variables to set. Nothing heavy is imported before the first call, so the
            libraries that read them still do.
    """
    # Ctrl+C reaches every process of a terminal; the parent decides what to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    _prefer_for_oom_kill()
    with ThreadPoolExecutor(1) as thread:  # its futures hold any exception of a call
        while True:
            error = thread.submit(_answer, connection).exception()
            if isinstance(error, SystemExit):
                return
            if error is not None:
                _send_error(connection, error)


def _answer(connection: Connection) -> None:
    try:
        function, item, seconds = connection.recv()
        connection.send(None)  # unpickling has imported everything the call needs
    except (EOFError, OSError):
        raise SystemExit from None
    with _alarm(seconds):
        answer = (None, function(item))
    try:
        connection.send(answer)
    except OSError:
        raise SystemExit from None


def _send_error(connection: Connection, error: BaseException) -> None:
    """Send an exception, or its name if it cannot be pickled, as MuPDF's cannot."""
    try:
        connection.send((ExceptionWithTraceback(error, error.__traceback__), None))
    except OSError:  # the parent is gone
        raise
    except Exception:  # noqa: BLE001  pickling may raise anything; it fails before sending
        name = type(error).__name__
        connection.send((RuntimeError(f"{name}, which cannot be sent between processes"), None))


def _prefer_for_oom_kill() -> None:
    """Ask the kernel to kill this process rather than its parent when memory runs out."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("800")


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Let the kernel end this process if it hangs in native code after the parent is gone."""
    if seconds is None or not hasattr(signal, "setitimer"):  # Windows has no setitimer
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds + _ALARM_GRACE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
