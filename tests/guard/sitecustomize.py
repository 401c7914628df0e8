"""Refuses every connection but to loopback; Python imports this by its name as it starts.

Tests put this folder into PYTHONPATH, so that it holds in the processes they start, too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

__all__ = ["block_network"]


def _is_local(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def _check(host: Any) -> None:
    if not _is_local(host):
        raise RuntimeError(f"a test tried to reach {host!r}; only loopback is allowed")


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """A socket's method whose last argument is an address: a tuple, or a Unix socket's path."""

    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if isinstance(arguments[-1], tuple):
            _check(arguments[-1][0])
        return method(self, *arguments)

    return guarded


def block_network() -> Callable[[], None]:
    """Guard the socket module.

    Returns:
        What takes the guard away again.
    """
    methods = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    resolve = socket.getaddrinfo

    def guarded_resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        try:
            ip_address(host)  # an address is not looked up; connecting to it is checked
        except ValueError:
            _check(host)
        return resolve(host, *arguments, **options)

    def undo() -> None:
        for name, method in methods.items():
            setattr(socket.socket, name, method)
        socket.getaddrinfo = resolve

    for name, method in methods.items():
        setattr(socket.socket, name, _checked(method))
    socket.getaddrinfo = guarded_resolve
    return undo


if __name__ == "sitecustomize":
    block_network()
