from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from opticalrag.ingest.system.workers import WorkerPool

from ..pipeline.test_pipeline import write_pdf

# Reserved for documentation (RFC 5737), so no host answers.
ADDRESS = ("192.0.2.1", 80)


def reach(address: tuple[str, int]) -> str:
    try:
        with socket.socket() as made:
            made.connect(address)
    except RuntimeError as error:
        return str(error)
    return "reached"


def test_tests_reach_loopback_only() -> None:
    """A test that connects to another machine fails at once."""
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
    """Tests can connect to servers that they start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()


def test_processes_of_tests_reach_loopback_only() -> None:
    """Programs that tests start are guarded, too."""
    code = f"import socket; socket.create_connection({ADDRESS})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, "only loopback" in done.stderr) == (1, True)


def test_workers_of_tests_reach_loopback_only() -> None:
    """Worker processes are guarded, too."""
    with WorkerPool(2) as pool:
        (answer,) = pool.map(reach, [ADDRESS])

    assert "only loopback" in str(answer)


READS = """
import os, sys
from pathlib import Path
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.core.records import ParsedPage

engine = LayoutEngine(workers=2)
with open_document(sys.argv[1]) as source:
    assert all(isinstance(one, ParsedPage) for one in engine.parse(source.tasks()))
engine.close()
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.parametrize("chosen", [None, "0"])
def test_telemetry_of_onnx_runtime_is_off(tmp_path: Path, chosen: str | None) -> None:
    """It writes no session files. A value that the user has set stays."""
    file = write_pdf(tmp_path / "a.pdf", "One.", "Two.")
    traces = tmp_path / "temporary"
    traces.mkdir()
    environment = {**os.environ, "TMPDIR": str(traces)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    if chosen is not None:
        environment["ORT_DISABLE_TELEMETRY"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", READS, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == (chosen or "1")
    assert chosen is not None or list(traces.iterdir()) == []
