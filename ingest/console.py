"""What all commands share: data on stdout, words on stderr, exit codes.

Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 some of it failed.
"""

from __future__ import annotations

import codecs
import io
import json
import logging
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from .config import ConfigError
from .errors import OpticalRagError, PageRangeError
from .types import PageFailure

__all__ = [
    "Exit",
    "commands",
    "emit",
    "emit_json",
    "emit_table",
    "exit_for",
    "exit_for_failures",
    "note_failures",
    "notes",
]


_WIDE = 10_000  # columns: lines are for the terminal or the next program to cut


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3


notes = Console(stderr=True, highlight=False)
"""Where words for people go; stdout is for data."""


def emit(text: str) -> None:
    """Write data to stdout, whatever characters it holds."""
    _write(text if text.endswith("\n") else text + "\n")


def emit_json(value: Any) -> None:
    """Write one JSON object to stdout; all ASCII where stdout does not know UTF-8."""
    plain = codecs.lookup(_encoding()).name != "utf-8"
    _write(json.dumps(value, ensure_ascii=plain, indent=2) + "\n")


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to stdout, whatever stands in its cells."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    text = Console(file=io.StringIO(), width=_WIDE, highlight=False)
    with text.capture() as captured:
        text.print(table)
    emit("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _write(text: str) -> None:
    # Broken PDF encodings yield lone surrogates, and a terminal may not know UTF-8.
    sys.stdout.buffer.write(text.encode(_encoding(), "backslashreplace"))
    sys.stdout.flush()


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"


def exit_for(done: int, failed: int) -> Exit:
    """The exit code of a run with this many results and failures."""
    if not failed:
        return Exit.OK
    return Exit.PARTIAL if done else Exit.FAILED


def exit_for_failures(done: int, codes: Collection[str]) -> Exit:
    """The exit code of a run; page choices that fit none of its documents are wrong usage."""
    if not done and codes and set(codes) == {PageRangeError.code}:
        return Exit.USAGE
    return exit_for(done, len(codes))


def note_failures(failures: Iterable[PageFailure]) -> None:
    """Say on stderr what gave no result, and why."""
    for failure in failures:
        place = f"{failure.file}" + (f", page {failure.number}" if failure.number else "")
        notes.print(
            f"failed: {place}: {failure.code}: {failure.message}",
            style="red",
            markup=False,
            soft_wrap=True,
        )


@contextmanager
def commands(as_json: bool, verbose: bool = False) -> Iterator[None]:
    """Run a command's body: errors of ours become a message and an exit code.

    Args:
        as_json: also write ``{"error": {"code", "message"}}`` to stdout.
        verbose: log at debug level instead of warnings only.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=notes, show_path=False, show_time=verbose)],
        force=True,
    )
    try:
        yield
    except (OpticalRagError, OSError) as error:
        code = error.code if isinstance(error, OpticalRagError) else "io"
        if as_json:
            emit_json({"error": {"code": code, "message": str(error)}})
        notes.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        usage = isinstance(error, (ConfigError, PageRangeError))
        raise SystemExit(Exit.USAGE if usage else Exit.FAILED) from error
