"""Writes ``command-line.md`` from the commands (``make docs``), or prints it (``--print``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import typer

from opticalrag.retrievers.cli import app

TARGET: Final = Path(__file__).with_name("command-line.md")

HEAD: Final = """\
# Commands and options
<!-- Written by docs/command_line.py from the commands. Run `make docs` after a change. -->

- Pages are 1-based everywhere: `--pages 1-3,7`.
- stdout carries the result, stderr log and progress. `--json` makes the result one JSON object.
- A signal stops a command cleanly. The command removes its temporary files, ends its workers, and
  exits with 128 plus the signal's number (Ctrl+C: 130). With `--json` it prints
  `{"error": {"code": "interrupted", ...}}`.
- Control characters in file names are escaped on the terminal.

| exit code | meaning |
|---|---|
| 0 | all done |
| 1 | failed |
| 2 | wrong usage |
| 3 | partly done: some pages or files failed and are listed, or the server went away |
"""


def pages() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    sections = (section for command in commands(root, "opticalrag") for section in command)
    return "\n".join([HEAD, *sections])


def commands(command: Any, name: str) -> Iterator[Iterator[str]]:
    """The sections of a command and of its subcommands, in the order of ``--help``."""
    children = getattr(command, "commands", {})
    if not children:
        yield section(command, name)
    for child_name, child in children.items():
        if not child.hidden:
            yield from commands(child, f"{name} {child_name}")


def section(command: Any, name: str) -> Iterator[str]:
    """Heading, usage, help, and a table of options for each panel."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    words = [word(one) for one in arguments]
    yield f"## {name}\n"
    yield f"`{' '.join([name, *words, '[OPTIONS]'])}`\n"
    yield paragraph(command.help) + "\n"
    for argument in arguments:
        yield f"`{word(argument)}`: {paragraph(argument.help)}\n"
    panels: dict[str, list[Any]] = {}
    for one in command.params:
        if one.param_type_name == "option" and one.name != "help":
            panels.setdefault(getattr(one, "rich_help_panel", None) or "Options", []).append(one)
    for panel, options in panels.items():
        yield f"| {panel} | | default |\n|---|---|---|"
        yield "\n".join(row(option) for option in options) + "\n"


def word(argument: Any) -> str:
    """An argument as usage lines show it."""
    name = argument.name.upper() + ("..." if argument.nargs < 0 else "")
    return name if argument.required else f"[{name}]"


def row(option: Any) -> str:
    """A row of the table of options."""
    names = " ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    variable = f" (`{option.envvar}`)" if option.envvar else ""
    return f"| {names}{variable} | {paragraph(option.help)}{choices(option)} | {default(option)} |"


def choices(option: Any) -> str:
    """The values that an option takes, if they are listed."""
    annotation = option.type_descriptor.annotation
    values = get_args(annotation) if get_origin(annotation) is Literal else ()
    listed = ", ".join(f"`{value}`" for value in values)
    return f" One of {listed}." if listed else ""


def default(option: Any) -> str:
    """The default as a reader would type it."""
    if option.required:
        return "required"
    hidden = option.default is None or option.default is False or callable(option.default)
    return "" if hidden else f"`{option.default}`"


def paragraph(text: str | None) -> str:
    """Help on one line, safe in a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(pages())
    else:
        TARGET.write_text(pages(), encoding="utf-8")
