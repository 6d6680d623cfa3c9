"""The arguments and options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mbo_search.api.options import Backend as BackendName
from mbo_search.cli.asked.arguments import (
    allow_code,
    maybe_run_folder,
    model_source,
    output_folder,
    run_folder,
    schedule_file,
    study_file,
    table_file,
)

Kind = Literal[
    "optimizers",
    "lr_shapes",
    "regularizers",
    "searchers",
    "corpora",
    "metrics",
    "readers",
    "exporters",
    "figures",
    "loggers",
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; print one line or nothing.")]
StudyFile = Annotated[
    Path | None,
    typer.Argument(metavar="STUDY", help="A study file (YAML).", show_default=False, callback=study_file),
]
Example = Annotated[
    str | None,
    typer.Option("--example", metavar="NAME", help="A shipped study instead of a file, such as quickstart."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, such as search.trials=40. Repeatable."),
]
ScheduleArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A schedule file, such as best.yaml.", show_default=False, callback=schedule_file
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False, callback=run_folder)
]
ModelSource = Annotated[
    Path,
    typer.Argument(
        metavar="DIR|FILE", help="A run directory, model folder or schedule file.", callback=model_source
    ),
]
TableFile = Annotated[
    Path, typer.Argument(metavar="TABLE", help="A stage table (JSON).", show_default=False, callback=table_file)
]
Language = Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the page.")]
Figures = Annotated[
    Path | None,
    typer.Option(
        "--figures",
        metavar="DIR",
        help="Also write every figure there, as SVG and PNG; needs the package kaleido and a Chrome or Chromium.",
        callback=output_folder,
    ),
]
Port = Annotated[
    int, typer.Option("--port", metavar="N", help="Port on this machine; 0: any free one.", min=0, max=65535)
]
Live = Annotated[
    bool, typer.Option("--serve", help="Also show a live page, at an address that only this machine reaches.")
]
Backend = Annotated[
    BackendName, typer.Option("--backend", help="Where trials run; auto: local for one worker, else ray.")
]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Address of a running Ray cluster.")
]
InsecureCluster = Annotated[
    bool,
    typer.Option(
        "--insecure-cluster", help="Use a cluster that asks for no token: whoever reaches it controls it."
    ),
]

Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="LOGGER",
        help="Also send the search to tensorboard, mlflow=URI, wandb or trackio; see docs/loggers.md. Repeatable.",
    ),
]

WarmStart = Annotated[
    list[Path] | None,
    typer.Option(
        "--warm-start",
        metavar="DIR",
        help="Start from the states and best schedules of an earlier run. Repeatable.",
    ),
]

Follow = Annotated[
    Path | None,
    typer.Option(
        "--follow",
        metavar="DIR",
        help="Start from the states and best schedules of a finished run; without a STUDY, run the one that its "
        "trials advise.",
        callback=maybe_run_folder,
    ),
]

AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Let code run that the study names (model.code): it may do whatever you may do.",
        callback=allow_code,
        show_default=False,
    ),
]
