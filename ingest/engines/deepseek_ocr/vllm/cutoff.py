"""Ends requests of httpx from another thread: when their time is up, or nobody wants them.

httpx's own limits count from one byte to the next, so a server that sends a byte now and then is
waited for without end. Here the connection is shut down, whatever is being read from it or written
to it. This asks for a connection per request: one that is used again is not announced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import Event, Lock, Timer
from typing import Any, Final

__all__ = ["Cutoff", "Halt"]

_CONNECTED: Final = "connection.connect_tcp.complete"  # as httpcore names it


class Cutoff:
    """What can end one request; its :meth:`trace` is given to httpx as the extension ``trace``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket | None = None
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether the request was ended; what came of it by then is no answer."""
        return self._is_cut

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of the request's connection."""
        if event != _CONNECTED:
            return
        with self._lock:
            # A copy of the handle, because TLS takes the first one over.
            self._socket = info["return_value"].get_extra_info("socket").dup()
            self._shut()

    def cut(self) -> None:
        """End the request, also before it has a connection."""
        with self._lock:
            self._is_cut = True
            self._shut()

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _shut(self) -> None:
        if self._is_cut and self._socket is not None:
            with suppress(OSError):  # the server was faster
                self._socket.shutdown(SHUT_RDWR)


class Halt:
    """Ends all requests that run under it, and keeps new ones from starting."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._running: set[Cutoff] = set()

    @property
    def is_set(self) -> bool:
        """Whether nobody waits for answers any more."""
        return self._event.is_set()

    def set(self) -> None:
        """End what runs."""
        with self._lock:
            self._event.set()
            running = list(self._running)
        for cutoff in running:
            cutoff.cut()

    def wait(self, seconds: float) -> None:
        """Sleep, unless all is ended."""
        self._event.wait(seconds)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[Cutoff]:
        """What ends a request after so many seconds, or with everything else."""
        cutoff = Cutoff()
        timer = Timer(seconds, cutoff.cut)
        timer.daemon = True
        with self._lock:
            self._running.add(cutoff)
        if self.is_set:
            cutoff.cut()
        timer.start()
        try:
            yield cutoff
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(cutoff)
            cutoff.close()
