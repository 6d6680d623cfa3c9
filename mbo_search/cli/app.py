"""The commands and their options. Each parses, calls one function, and has its answer delivered."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from mbo_search import __version__
from mbo_search.cli.console import deliver, run_app
from mbo_search.cli.options import AsJson, Example, Overrides, Quiet, StudyFile

__all__ = ["app", "main"]

app = typer.Typer(
    name="mbo-search",
    help="Find out in which stages, and with which optimizer, learning rate and regularizer in each, to train a "
    "language model.",
    epilog="Exit codes: 0 ok, 1 failed, 2 something to mend in what was asked, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    sys.exit(run_app(app, sys.argv[1:]))


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mbo-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("study.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a commented study file to start from."""
    from mbo_search.cli.starter import write_starter

    deliver(lambda: write_starter(file, force=force), as_json=as_json, quiet=quiet)


@app.command()
def validate(
    study: StudyFile = None,
    example: Example = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a study file and report all of its mistakes at once."""
    from mbo_search.cli.describe import validate_study

    deliver(lambda: validate_study(study, example, overrides or []), as_json=as_json, quiet=quiet)


@app.command(name="list")
def list_names(
    kind: Annotated[
        Literal["optimizers", "lr_shapes", "regularizers", "corpora"],
        typer.Argument(metavar="KIND", help="optimizers, lr_shapes, regularizers or corpora."),
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List what a study may name, with ranges, reference learning rates and papers."""
    from mbo_search.cli.catalogue import list_catalogue

    deliver(lambda: list_catalogue(kind), as_json=as_json, quiet=quiet)


@app.command()
def doctor(
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where runs would be written.")] = Path(
        "reports"
    ),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look at versions, processors, memory, GPUs and disk, and say what would keep a study from running."""
    from mbo_search.cli.doctor import examine

    deliver(lambda: examine(folder), as_json=as_json, quiet=quiet)
