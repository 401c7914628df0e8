"""``ingest --watch``, and the reports of an ingest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from opticalrag.ingest.assembly import open_store
from opticalrag.ingest.cli.ingest import ingest
from opticalrag.ingest.core.config import StoreConfig
from opticalrag.ingest.core.errors import StoreUnavailable
from opticalrag.ingest.core.records import Point
from opticalrag.ingest.store.store import QdrantStore

from ..processes import run_command as run
from ..unit.pipeline.test_pipeline import page_text, write_pdf
from .test_cli import run_json


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_watch_ingests_what_comes_and_stops_when_told(tmp_path: Path, ending: int) -> None:
    """A new file is stored while the watch runs; a signal ends it with exit code 0."""
    folder = tmp_path / "in"
    folder.mkdir()
    command = ["ingest", "in", "--watch", "0.2", "--ocr", "off"]
    with subprocess.Popen(
        [sys.executable, "-m", "opticalrag.retrievers", *command],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("QDRANT_")},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "look 1: 0 files, 0 ingested" in process.stderr.readline()
        write_pdf(folder / "valve.pdf", page_text("valve"))
        ends = time.monotonic() + 120
        while "1 ingested" not in process.stderr.readline():
            assert time.monotonic() < ends
        process.send_signal(ending)
        rest = process.stderr.read()
        assert process.wait(60) == 0

    assert rest.endswith("stopped\n")
    status = run_json("status", cwd=tmp_path)
    assert "valve.pdf" in str(status["documents"])


def test_a_file_is_tried_again_when_its_store_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look ingests the files of an interrupted run again."""
    write_pdf(tmp_path / "valve.pdf", page_text("valve"))
    upsert, told = QdrantStore.upsert, []

    def away_at_first(self: QdrantStore, points: Sequence[Point]) -> int:
        told.append(len(points))
        if len(told) == 1:
            raise StoreUnavailable("nobody answers")
        os.kill(os.getpid(), signal.SIGINT)
        return upsert(self, points)

    monkeypatch.setattr(QdrantStore, "upsert", away_at_first)
    monkeypatch.chdir(tmp_path)
    ingest([str(tmp_path)], watch=0.1, ocr="off", qdrant=str(tmp_path / "store"))

    assert len(told) == 2
    with open_store(StoreConfig(str(tmp_path / "store"))) as store:
        assert store.count() == told[1]


def test_a_second_signal_ends_a_watch_as_it_ends_other_commands() -> None:
    """The command can then remove its temporary files."""
    script = """
import os, signal, time
from opticalrag.ingest.cli.ingest import _stop_on_signals
from opticalrag.ingest.cli.console import commands
with commands(False):
    stop = _stop_on_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(9)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(9)
    finally:
        print("cleaned up")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "cleaned up\n")


def test_a_watch_makes_the_same_chunks_as_a_run_with_the_same_options(tmp_path: Path) -> None:
    """Otherwise the two would overwrite each other's chunks."""
    write_pdf(tmp_path / "valve.pdf", page_text("valve"))
    done = run("ingest", ".", "--max-tokens", "64", "--ocr", "off", cwd=tmp_path)
    assert done.returncode == 0
    chunks = run_json("status", cwd=tmp_path)["points"]
    command = ["ingest", ".", "--watch", "0.1", "--max-tokens", "64"]
    with subprocess.Popen(
        [sys.executable, "-m", "opticalrag.retrievers", *command, "--ocr", "off"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("QDRANT_")},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "0 ingested" in process.stderr.readline()
        assert "1 ingested" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert run_json("status", cwd=tmp_path)["points"] == chunks > 1


def test_wrong_options_end_a_watch(tmp_path: Path) -> None:
    """Every look would fail with the same error."""
    write_pdf(tmp_path / "valve.pdf", page_text("valve"))
    done = run("ingest", ".", "--watch", "0.1", "--engine", "bogus", cwd=tmp_path)

    assert (done.returncode, "choose one of" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a folder"),
        ([".", "."], "takes one existing folder"),
        ([".", "--prune", "--report", "r.html"], "combined with --prune, --report"),
    ],
)
def test_watch_takes_one_folder_and_options_that_last(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    """Other paths and options are wrong usage, and the message names them."""
    done = run("ingest", *arguments, "--watch", "1", cwd=tmp_path)

    assert (done.returncode, message in " ".join(done.stderr.split())) == (2, True)


def test_an_ingest_writes_its_report(tmp_path: Path) -> None:
    """Even if a file failed."""
    write_pdf(tmp_path / "valve.pdf", page_text("valve"))
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7")
    report = run_json(
        "ingest", "valve.pdf", "bad.pdf", "--report", "run.html", cwd=tmp_path, code=3
    )

    assert report["pages"] == 1
    assert "bad.pdf" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_report_of_what_is_stored_is_made_afterwards(tmp_path: Path) -> None:
    """From the journal; without one it is wrong usage."""
    write_pdf(tmp_path / "valve.pdf", page_text("valve"))
    run_json("ingest", "valve.pdf", cwd=tmp_path)
    counts = run_json("report", "all.html", cwd=tmp_path)
    nowhere = run("report", "all.html", "--qdrant", "nowhere", cwd=tmp_path)

    assert counts == {
        "documents": 1,
        "pages": 1,
        "failed_pages": 0,
        "doubtful_pages": 0,
        "flags": {},
    }
    assert "Doubtful pages: 0" in (tmp_path / "all.html").read_text(encoding="utf-8")
    assert (nowhere.returncode, "--journal" in nowhere.stderr) == (2, True)
