"""When the files of a watched folder are due."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from opticalrag.ingest.core.errors import StoreLocked
from opticalrag.ingest.pipeline.watching import Cycle, FolderWatch, look, watch

A, B = Path("/in/a.pdf"), Path("/in/b.pdf")


def test_a_file_is_due_once_it_stops_changing() -> None:
    """A growing file is not due, nor is one that is done."""
    state = FolderWatch(settle=5)

    assert state.due({A: (1, 10)}, 0) == ()
    assert state.due({A: (2, 20)}, 4) == ()
    assert state.due({A: (2, 20)}, 8) == ()
    assert state.due({A: (2, 20)}, 9) == (A,)
    state.mark_done(A)
    assert state.due({A: (2, 20)}, 20) == ()


def test_a_file_that_changed_or_came_back_is_due_again() -> None:
    """Time and size count as a change; deleted files are forgotten."""
    state = FolderWatch(settle=0)
    state.due({A: (1, 10), B: (1, 10)}, 0)
    state.mark_done(A)
    state.mark_done(B)

    assert state.due({A: (1, 11), B: (1, 10)}, 1) == (A,)
    state.mark_done(A)
    assert state.due({}, 2) == ()
    assert state.due({B: (1, 10)}, 3) == (B,)
    assert len(state._since) == len(state._done) + 1 == 1


def test_a_look_finds_the_files_of_an_ingest(tmp_path: Path) -> None:
    """PDFs and images with their stamps; an empty folder is not an error."""
    assert look(tmp_path) == {}
    (tmp_path / "a.pdf").write_bytes(b"12345")
    (tmp_path / "b.doc").write_bytes(b"12345")
    os.mkfifo(tmp_path / "c.pdf")

    assert [(file.name, size) for file, (_, size) in look(tmp_path).items()] == [("a.pdf", 5)]


def cycles(folder: Path, ingest: object, count: int, stop: Event) -> list[Cycle]:
    seen = []
    for cycle in watch(folder, FolderWatch(0), ingest, stop, 0.01):  # type: ignore[arg-type]
        seen.append(cycle)
        if len(seen) == count:
            stop.set()
    return seen


@pytest.mark.parametrize("error", [StoreLocked.of("store"), PermissionError("not now")])
def test_files_whose_ingest_failed_are_tried_again(tmp_path: Path, error: Exception) -> None:
    """The store may be locked, or may not be readable, for a while."""
    (tmp_path / "a.pdf").write_bytes(b"1")
    taken: list[list[str]] = []

    def ingest(files: Iterator[Path]) -> None:
        taken.append([file.name for file in files])
        if len(taken) == 1:
            raise error

    seen = cycles(tmp_path, ingest, 3, Event())

    assert taken == [["a.pdf"], ["a.pdf"]]
    assert [(cycle.begun, cycle.error is None) for cycle in seen] == [
        (1, False),
        (1, True),
        (0, True),
    ]


def test_no_file_is_begun_after_the_stop(tmp_path: Path) -> None:
    """A file that was begun is finished; the others wait for the next start."""
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        (tmp_path / name).write_bytes(b"1")
    stop, taken = Event(), []

    def ingest(files: Iterator[Path]) -> None:
        for file in files:
            taken.append(file.name)
            stop.set()

    assert [cycle.begun for cycle in cycles(tmp_path, ingest, 9, stop)] == [1]
    assert taken == ["a.pdf"]
