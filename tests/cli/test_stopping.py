"""Commands that a signal or an internal error stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pymupdf
import pytest

from opticalrag.ingest.cli.console import commands


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_ingest_that_is_stopped_leaves_no_copies_and_no_processes(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The exit code is that of shells; --json writes one error object."""
    files, copies = tmp_path / "files", tmp_path / "copies"
    files.mkdir()
    copies.mkdir()
    page = pymupdf.open().new_page()
    page.insert_text((72, 72), "A scan.")
    for number_of_dots in range(60, 90):  # enough files that the signal never meets the last one
        page.get_pixmap(dpi=number_of_dots).save(files / f"scan-{number_of_dots}.png")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QDRANT_")}
    with subprocess.Popen(
        [sys.executable, "-m", "opticalrag.retrievers", "ingest", "files", "--json"],
        cwd=tmp_path,
        env={**environment, "TMPDIR": str(copies)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup the signal is ignored, and child processes inherit that.
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),
    ) as process:
        ends = time.monotonic() + 120
        workers: list[psutil.Process] = []
        while not (workers and any(copies.glob("opticalrag-*.pdf"))):
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.05)
            workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        out, words = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert words == f"error: interrupted by {number.name}; run it again\n"
    assert list(copies.glob("opticalrag-*")) == []
    assert workers
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_an_internal_error_shows_its_traceback_without_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message may quote a document; --json writes an error object."""
    text = " ".join(("the", "secret", "text"))
    with pytest.raises(SystemExit) as ended, commands(True):
        raise KeyError(text)
    said = capsys.readouterr()

    assert ended.value.code == 1
    assert json.loads(said.out)["error"]["code"] == "internal"
    assert "raise KeyError(text)" in said.err
    assert text not in said.out + said.err
