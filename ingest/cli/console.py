"""Output, exit codes and signals of all commands. Data goes to stdout, messages go to stderr.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 partial failure. A command that a signal stops
exits with 128 plus the signal's number, as shells do: 130 Ctrl+C, 143 SIGTERM, 129 SIGHUP.
"""

from __future__ import annotations

import codecs
import io
import json
import logging
import re
import signal
import sys
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ..core.errors import ConfigError, OpticalRagError, PageRangeError
from ..core.records import PageFailure

__all__ = [
    "Exit",
    "commands",
    "emit",
    "emit_json",
    "emit_table",
    "emit_text",
    "exit_for",
    "exit_for_failures",
    "failure_to_json",
    "note",
    "note_failures",
    "notes",
    "plain",
    "progress_bar",
]

_WIDE: Final = 10_000  # columns: the terminal or the next program wraps or cuts the lines
# Everything but tabs that moves the cursor, ends a line, or changes the direction of text.
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_STOPPING: Final = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3


def plain(text: str) -> str:
    """Escape control characters, so that the text stays on one line.

    A file name may contain any of them. It could clear the screen or forge a line of output.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class _Notes(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(plain(one) if isinstance(one, str) else one for one in objects), **options)


class _PlainFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return plain(super().formatMessage(record))


notes = _Notes(stderr=True, highlight=False)
"""Prints messages for people to stderr, one line each."""


def note(text: str, style: str | None = None) -> None:
    """Print a message for people to stderr, as it is and on one line."""
    notes.print(text, style=style, markup=False, soft_wrap=True)


def emit(text: str) -> None:
    """Write a line of text for people to stdout."""
    emit_text(plain(text))


def emit_text(text: str) -> None:
    """Write text to stdout; characters that its encoding lacks are escaped."""
    _write(text if text.endswith("\n") else text + "\n")


def emit_json(value: Any) -> None:
    """Write one JSON object to stdout, in ASCII if the encoding of stdout is not UTF-8."""
    ascii_only = codecs.lookup(_encoding()).name != "utf-8"
    _write(json.dumps(value, ensure_ascii=ascii_only, indent=2) + "\n")


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to stdout; cells are plain text, not markup."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(escape(plain(str(cell))) for cell in row))
    text = Console(file=io.StringIO(), width=_WIDE, highlight=False)
    with text.capture() as captured:
        text.print(table)
    emit_text("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _write(text: str) -> None:
    if sys.stdout is None:  # the parent process closed it: write nothing, as print() does
        return
    # Broken PDF encodings yield lone surrogates, and the terminal may lack other characters.
    sys.stdout.buffer.write(text.encode(_encoding(), "backslashreplace"))
    sys.stdout.flush()


def _encoding() -> str:
    return (sys.stdout and sys.stdout.encoding) or "utf-8"


def exit_for(done: int, failed: int) -> Exit:
    """The exit code for these numbers of results and failures."""
    if not failed:
        return Exit.OK
    return Exit.PARTIAL if done else Exit.FAILED


def exit_for_failures(done: int, codes: Collection[str]) -> Exit:
    """The exit code for a number of results and the codes of the failures.

    It is wrong usage if all documents lack the selected pages.
    """
    if not done and codes and set(codes) == {PageRangeError.code}:
        return Exit.USAGE
    return exit_for(done, len(codes))


def note_failures(failures: Iterable[PageFailure]) -> None:
    """Print failures to stderr."""
    for failure in failures:
        location = failure.file or "store"
        location += f", page {failure.number}" if failure.number else ""
        note(f"failed: {location}: {failure.code}: {failure.message}", style="red")


def failure_to_json(failure: PageFailure) -> dict[str, Any]:
    """A failure as JSON values: page number from 1."""
    return {
        "file": failure.file,
        "page": failure.number,
        "code": failure.code,
        "message": failure.message,
    }


@contextmanager
def progress_bar(description: str, unit: str = "pages") -> Iterator[tuple[Progress, TaskID]]:
    """A bar that counts pages, or another unit, on stderr; hidden if that is not a terminal."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
    with bar:
        yield bar, bar.add_task(description, total=None)


class _Stopped(KeyboardInterrupt):
    """A signal that stops the command as Ctrl+C does."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextmanager
def commands(as_json: bool, verbose: bool = False) -> Iterator[None]:
    """Run the body of a command; turn errors and signals into a message and an exit code.

    Args:
        as_json: also write ``{"error": {"code", "message"}}`` to stdout.
        verbose: log everything from debug level instead of warnings only.
    """
    handler = RichHandler(console=notes, show_path=False, show_time=verbose)
    handler.setFormatter(_PlainFormatter())
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)
    try:
        with _stoppable():
            yield
    except (OpticalRagError, OSError) as error:
        code = error.code if isinstance(error, OpticalRagError) else "io"
        usage = isinstance(error, (ConfigError, PageRangeError))
        _say_error(code, str(error), as_json)
        raise SystemExit(Exit.USAGE if usage else Exit.FAILED) from error
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, _Stopped) else _Stopped()
        with suppress(OSError):  # the terminal may be gone
            _say_error("interrupted", f"interrupted by {stopped}; run it again", as_json)
        raise SystemExit(128 + stopped.number) from error
    except Exception as error:
        for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
            note(line)
        message = f"internal error ({type(error).__name__}): please report it"
        _say_error("internal", message, as_json)  # without the error's own: it may quote a document
        raise SystemExit(Exit.FAILED) from error


def _say_error(code: str, message: str, as_json: bool) -> None:
    if as_json:
        with suppress(OSError):  # if stdout cannot be written, stderr still has the message
            emit_json({"error": {"code": code, "message": message}})
    note(f"error: {message}", style="red")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raise an exception on SIGTERM and SIGHUP, so that the body can clean up.

    Only the first signal raises it: service managers send several. A signal that is ignored, for
    example under nohup, stays ignored.
    """
    numbers = [getattr(signal, name) for name in _STOPPING if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # only the main thread can set signal handlers

    def stop(number: int, _: object) -> NoReturn:
        for one in ours:
            signal.signal(one, signal.SIG_IGN)
        raise _Stopped(number)

    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
