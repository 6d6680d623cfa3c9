"""Formats of an exported schedule, by the name that `mbo-search export --to` takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from mbo_search.errors import Problem, UserError
from mbo_search.export.request import ExportRequest, Written
from mbo_search.extensions import EXPORTER_GROUP, Registry, by_name
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.files.schedule_file import ScheduleFile, dump_schedule_file


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterDefinition:
    """A format in which a schedule can be written: as one text, or by a function that writes files itself.

    Attributes:
        name: Name for `mbo-search export --to`.
        version: Version of the format, for `mbo-search list`.
        summary: One line.
        export: Writes a schedule, with its study's sections and its provenance, as text.
        can_be_trained: Whether `mbo-search replay` and `train` read it.
        write: Writes files, in place of `export`: for formats of several files, or that need the data, the weights
            or the settings of the run.
        is_folder: Whether what it writes is a folder.
    """

    group: ClassVar[str] = EXPORTER_GROUP

    name: str
    version: str = ""
    summary: str
    export: Callable[[ScheduleFile], str] | None = None
    can_be_trained: bool = False
    write: Callable[[ExportRequest], Written] | None = None
    is_folder: bool = False

    def __post_init__(self) -> None:
        """Check that there is one way to write it."""
        if (self.export is None) == (self.write is None):
            raise UserError(f"the exporter {self.name} must have either `export` or `write`")


def exporter(name: str) -> ExporterDefinition:
    """Find a format.

    Raises:
        UserError: If there is none of the name.
    """
    found = EXPORTERS.get(name)
    if found is None:
        rule, hint = f"must be one of {', '.join(EXPORTERS)}", nearest_hint(name, EXPORTERS)
        raise UserError([Problem(key="--to", value=name, rule=rule, hint=hint)])
    return found


def _json(file: ScheduleFile) -> str:
    return json.dumps(file.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def _hf(request: ExportRequest) -> Written:
    from mbo_search.export.frameworks.hub import write_hub

    return write_hub(request)


def _hf_trainer(request: ExportRequest) -> Written:
    from mbo_search.export.frameworks.driver import HF_TRAINER, write_driver

    return write_driver(request, HF_TRAINER)


def _lightning(request: ExportRequest) -> Written:
    from mbo_search.export.frameworks.driver import LIGHTNING, write_driver

    return write_driver(request, LIGHTNING)


def _python(request: ExportRequest) -> Written:
    from mbo_search.export.python.script import write_script

    return write_script(request)


EXPORTERS = Registry(
    EXPORTER_GROUP,
    ExporterDefinition,
    by_name(
        ExporterDefinition(
            name="yaml", summary="a schedule file, for people", export=dump_schedule_file, can_be_trained=True
        ),
        ExporterDefinition(name="json", summary="the same for programs", export=_json, can_be_trained=True),
        ExporterDefinition(
            name="hf", summary="the model, as a folder that transformers loads", write=_hf, is_folder=True
        ),
        ExporterDefinition(
            name="hf-trainer", summary="a script that trains with the Trainer of transformers", write=_hf_trainer
        ),
        ExporterDefinition(
            name="lightning", summary="a script that trains with the Trainer of Lightning", write=_lightning
        ),
        ExporterDefinition(
            name="python",
            summary="a file of plain PyTorch that trains it, with its tokens beside it",
            write=_python,
        ),
    ),
)
"""Formats by name."""
