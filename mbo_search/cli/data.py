"""`data`: what becomes of a study's text, with some documents as the model sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mbo_search.api.data_text import data_parts
from mbo_search.api.preparing import watch_preparation
from mbo_search.api.studies import data_cache
from mbo_search.cli.console import CommandResult, error_console
from mbo_search.cli.validate import again, study_path
from mbo_search.study.files.study_file import load_study

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.data.metadata import Split
    from mbo_search.data.summary.document_samples import DocumentSample


def show_data(file: Path | None, example: str | None, overrides: Sequence[str], *, quiet: bool) -> CommandResult:
    """Prepare the data of a study and show what became of its text.

    Raises:
        UserError: If the study is wrong, or its text cannot be read or is too little.
    """
    from mbo_search.engine.data_overview import overview_data

    study = load_study(study_path(file, example), overrides)
    with watch_preparation(error_console(), quiet=quiet) as progress:
        found = overview_data(study, cache=data_cache(), progress=progress)
    return CommandResult(
        schema="mbo-search/data/1",
        document={"study": study.study, "data": found.summary.model_dump(mode="json"), **_samples(found.samples)},
        text=[
            *data_parts(study, found.summary),
            "",
            *_sample_text(found.samples),
        ],
        next=f"see what it would do and cost: {again('plan', file, example, overrides)}",
        brief=f"{study.study}: {found.summary.num_documents} documents read",
    )


def _samples(samples: Mapping[Split, Sequence[DocumentSample]]) -> dict[str, object]:
    return {
        "samples": {split: [sample.model_dump(mode="json") for sample in found] for split, found in samples.items()}
    }


def _sample_text(samples: Mapping[Split, Sequence[DocumentSample]]) -> Iterator[RenderableType]:
    """Documents of each split, one a paragraph, under the name of the split."""
    for split, found in samples.items():
        noun = "document" if all(sample.num_asked is None for sample in found) else "example"
        documents = f"1 {noun}" if len(found) == 1 else f"{len(found)} {noun}s"
        name = "training" if split == "train" else split
        marks = ", what it is asked for in [[ ]]" if noun == "example" else ""
        yield Text(f"{documents} of the {name} split, as the model sees them{marks}", style="bold")
        for number, sample in enumerate(found, start=1):
            more = " ..." if sample.is_cut else ""
            asked = "" if sample.num_asked is None else f", {sample.num_asked:,} asked for"
            yield Text(f"{number}. {sample.text}{more} ({sample.num_tokens:,} tokens{asked})")
        yield ""
