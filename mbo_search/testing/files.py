"""The conformance suites of readers and exporters."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mbo_search.data.readers import FILE_READERS, ReaderDefinition
from mbo_search.errors import DataError
from mbo_search.export.exporters import EXPORTERS, ExporterDefinition
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.schedule_file import Provenance, ScheduleFile, StudySections, parse_schedule_file
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.testing.definitions import check_definition


def check_reader(reader: ReaderDefinition, file: Path, text_field: str = "text") -> None:
    """Run every check on a reader; it need not be registered.

    Args:
        reader: The reader.
        file: A file with at least one document.
        text_field: The study's `data.text_field`.

    Raises:
        AssertionError: If one does not hold.
    """
    check_definition(reader, is_built_in=reader.name in FILE_READERS.built_in)
    assert reader.suffixes, "needs a suffix"
    for suffix in reader.suffixes:
        assert suffix.startswith("."), f"suffix {suffix!r} must begin with a dot"
        assert suffix == suffix.lower(), f"suffix {suffix!r} must be in lower case"
    documents = list(reader.read(file, text_field))
    assert documents, f"{file} holds no document"
    assert all(isinstance(document.text, str) for document in documents)
    names = [document.name for document in documents]
    assert len(set(names)) == len(names), "names of documents must be unique"
    assert documents == list(reader.read(file, text_field)), "two readings give different documents"
    if reader.rows is not None:
        rows = list(reader.rows(file, (text_field,)))
        assert rows, f"{file} holds no row"
        assert all(set(row.values) == {text_field} for row in rows), "rows must hold the columns that are asked for"
    _refuses_what_it_cannot_read(reader, text_field)


def _refuses_what_it_cannot_read(reader: ReaderDefinition, text_field: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        damaged = Path(folder) / f"damaged{reader.suffixes[0]}"
        damaged.write_bytes(b"\x80\xff\x00\x9c not text")
        try:
            list(reader.read(damaged, text_field))
        except DataError as error:
            assert "damaged" in str(error), "the error must say where"  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"must raise DataError for a damaged file, not {error!r}") from error


def check_exporter(exporter: ExporterDefinition) -> None:
    """Run every check on an exporter; it need not be registered.

    One that writes files itself is checked by its definition only: what it needs of a run is its own affair.

    Raises:
        AssertionError: If one does not hold.
    """
    check_definition(exporter, is_built_in=exporter.name in EXPORTERS.built_in)
    if exporter.export is None:
        assert not exporter.can_be_trained, "a schedule file is one text: give `export`"
        return
    assert not exporter.is_folder, "a text is no folder: give `write`"
    file = _schedule_file()
    text = exporter.export(file)
    assert isinstance(text, str)
    assert text.strip(), "the text is empty"
    assert text == exporter.export(file), "two exports differ"
    if exporter.can_be_trained:
        assert parse_schedule_file(text, "exported") == file, "the export does not read back equal"


def _schedule_file() -> ScheduleFile:
    hparams = {name: float(info.default) for name, info in OPTIMIZERS["adamw"].hparams.items()}
    shape = LrShape(kind="linear", hparams={"floor": 0.0})
    stages = (
        Stage(name="warm", share=0.4, optimizer="adamw", hparams=hparams, lr=0.002, warmup=0.02),
        Stage(
            name="cool", share=0.6, optimizer="adamw", hparams=hparams, lr=0.001, lr_shape=shape, hand_over="carry"
        ),
    )
    sections = StudySections(
        study="example",
        seed=0,
        data=DataSpec(source=("docs",)),
        model=ModelSpec(layers=4, width=128, heads=4, context=128),
        budget=BudgetSpec(tokens=400_000),
        train=TrainSpec(batch_tokens=1024),
        evaluation=EvaluationSpec(),
    )
    provenance = Provenance(
        trial=3,
        arm="staged",
        seed=0,
        val_loss=3.5,
        val_perplexity=33.1,
        confirmed=False,
        data_fingerprint="0" * 64,
        root_key="1" * 64,
        versions={"mbo-search": "0"},
        numerics={"threads": 1},
        created="2026-01-01T00:00:00+00:00",
    )
    return ScheduleFile(study=sections, schedule=Schedule(stages=stages), provenance=provenance)
