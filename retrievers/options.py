"""The options that the commands which search share."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal

import typer

__all__ = ["ModeOption", "RerankerOption", "SkipFlaggedOption", "search_option"]

search_option: Final = partial(typer.Option, rich_help_panel="Search")

ModeOption = Annotated[
    Literal["hybrid", "dense", "sparse"], search_option(help="Vectors to search with.")
]
SkipFlaggedOption = Annotated[
    bool, search_option("--skip-flagged", help="Leave out pages with doubtful text.")
]
RerankerOption = Annotated[
    str | None,
    search_option(help="Cross-encoder that sorts the best hits: folder or hub id."),
]
