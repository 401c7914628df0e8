"""Aborts httpx requests from another thread, on timeout or cancellation.

httpx's own timeouts restart with every byte, so a server that sends a byte now and then can block a
request forever. An :class:`Abort` shuts down the connection itself, whatever is being read or
written. This needs a new connection for each request, because httpx does not announce a reused one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import Event, Lock, Timer
from typing import Any, Final

__all__ = ["Abort", "Cancellation"]

_CONNECTED: Final = "connection.connect_tcp.complete"  # httpcore's name of the event


class Abort:
    """Can abort one request. Pass :meth:`trace` to httpx as the extension ``trace``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket | None = None
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """Whether the request was aborted. If so, discard its response."""
        return self._is_set

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Record the connection of the request."""
        if event != _CONNECTED:
            return
        with self._lock:
            # A duplicate, because TLS detaches the original handle.
            self._socket = info["return_value"].get_extra_info("socket").dup()
            self._shut_down()

    def set(self) -> None:
        """Abort the request. Before it is connected, abort it as soon as it is."""
        with self._lock:
            self._is_set = True
            self._shut_down()

    def close(self) -> None:
        """Close the duplicate of the connection's handle."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _shut_down(self) -> None:
        if self._is_set and self._socket is not None:
            with suppress(OSError):  # the server closed it first
                self._socket.shutdown(SHUT_RDWR)


class Cancellation:
    """Aborts all requests that run under it, and prevents new ones."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._running: set[Abort] = set()

    @property
    def is_set(self) -> bool:
        """Whether requests are cancelled."""
        return self._event.is_set()

    def set(self) -> None:
        """Abort the running requests."""
        with self._lock:
            self._event.set()
            running = list(self._running)
        for abort in running:
            abort.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until cancellation."""
        self._event.wait(seconds)

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[Abort]:
        """Yield the :class:`Abort` of a request. It is set after ``seconds`` or on cancellation."""
        abort = Abort()
        timer = Timer(seconds, abort.set)
        timer.daemon = True
        with self._lock:
            self._running.add(abort)
        if self.is_set:
            abort.set()
        timer.start()
        try:
            yield abort
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(abort)
            abort.close()
