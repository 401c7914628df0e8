from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from opticalrag.ingest.workers import WorkerPool

# Reserved for documentation (RFC 5737): nobody answers there.
ADDRESS = ("192.0.2.1", 80)


def reach(address: tuple[str, int]) -> str:
    try:
        with socket.socket() as made:
            made.connect(address)
    except RuntimeError as error:
        return str(error)
    return "reached"


def test_tests_reach_loopback_only() -> None:
    """A test that would leave the machine fails at once."""
    with pytest.raises(RuntimeError, match="only loopback"), socket.socket() as made:
        made.connect(ADDRESS)
    with pytest.raises(RuntimeError, match="only loopback"):
        socket.getaddrinfo("example.org", 443)
    with (
        pytest.raises(RuntimeError, match="only loopback"),
        socket.socket(type=socket.SOCK_DGRAM) as made,
    ):
        made.sendto(b"x", ADDRESS)


def test_loopback_can_be_reached() -> None:
    """Servers that tests start are asked as ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()


def test_processes_of_tests_reach_loopback_only() -> None:
    """The guard is in programs that tests start."""
    code = f"import socket; socket.create_connection({ADDRESS})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, "only loopback" in done.stderr) == (1, True)


def test_workers_of_tests_reach_loopback_only() -> None:
    """The guard is in worker processes."""
    with WorkerPool(2) as pool:
        (answer,) = pool.map(reach, [ADDRESS])

    assert "only loopback" in str(answer)
