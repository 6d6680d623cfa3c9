"""The data of a study alone: prepared, summed up, and shown by some of its documents."""

from __future__ import annotations

from pathlib import Path

from mbo_search.data.metadata import SPLITS, Split
from mbo_search.data.prepare import prepare
from mbo_search.data.progress import PrepareReporter, tell_nobody
from mbo_search.data.summary.data_summary import DataSummary, summarize
from mbo_search.data.summary.document_samples import DocumentSample, document_samples
from mbo_search.study.files.files_named import with_base
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.study import Study


class DataOverview(Description):
    """What became of the text of a study.

    Attributes:
        summary: The same numbers as in a plan.
        samples: Documents of each split as the model sees them.
    """

    summary: DataSummary
    samples: dict[Split, tuple[DocumentSample, ...]]


def overview_data(study: Study, *, cache: Path, progress: PrepareReporter = tell_nobody) -> DataOverview:
    """Prepare the data of a study and look at them; nothing is trained.

    Raises:
        DataError: With everything that is wrong with the sources or the tokenizer.
        StudyError: If the budget is no whole number of steps and segments.
    """
    study = with_base(study, Path())
    budget = study_budget(study)
    prepared = prepare(study.data, cache, progress)
    summary = summarize(prepared.metadata, study.data, schedule_tokens=budget.total_tokens)
    return DataOverview(summary=summary, samples={split: document_samples(prepared, split) for split in SPLITS})
