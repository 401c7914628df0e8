"""The ``opticalrag`` command without searching, which :mod:`opticalrag.retrievers.cli` adds."""

from __future__ import annotations

from typing import Annotated

import typer

from ... import __version__
from .cache import app as cache_app
from .console import emit
from .doctor import doctor
from .ingest import ingest
from .models import app as models_app
from .parse import parse
from .store import delete, report, status, verify_collection

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Read PDFs and images, index them in Qdrant, and find cited answers.",
)


def _print_version(asked: bool) -> None:
    if asked:
        emit(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


app.command()(ingest)
app.command()(parse)
app.command()(status)
app.command("verify")(verify_collection)
app.command()(report)
app.command()(delete)
app.command()(doctor)
app.add_typer(models_app, name="models")
app.add_typer(cache_app, name="cache")
