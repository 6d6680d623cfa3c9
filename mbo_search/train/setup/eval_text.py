"""What a study reads of its prepared data: batches to train on, rows to measure on, documents to judge on."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.data.batches import MeasuredRows, TokenStream, TrainingStream
from mbo_search.data.judged import JudgedExamples, JudgedRows, judged_pieces
from mbo_search.data.masked import MaskedJudged, MaskedRows, MaskedStream, Masking
from mbo_search.data.metadata import SPLITS, Split
from mbo_search.data.mixing.training_documents import TrainingDocuments
from mbo_search.data.parts import validation_parts
from mbo_search.data.prepare import PreparedData
from mbo_search.data.tasks.example_parts import example_parts
from mbo_search.data.tasks.example_rows import ExampleRows, Examples, ExampleStream, find_examples
from mbo_search.data.windows import WindowRows, Windows, evaluation_windows
from mbo_search.errors import DataError
from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.train.setup.setup import TrainSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationUse:
    """The uses of the validation split.

    Attributes:
        rows: Rows on which every trial is evaluated.
        fingerprint: Names them.
        judged: Documents on which finished models are judged, none of which is in a row; None if the split is too
            short for both.
        why_not: Why there are none, as a sentence without its full stop; else empty.
        searched_examples: The examples in the rows; None if the text is no task.
    """

    rows: MeasuredRows
    fingerprint: str
    judged: JudgedRows | None = None
    why_not: str = ""
    searched_examples: Examples | None = None

    @property
    def judged_fingerprint(self) -> str | None:
        """Names the judged documents."""
        return None if self.judged is None else self.judged.fingerprint


def training_stream(prepared: PreparedData, setup: TrainSetup, seed: int) -> TrainingStream:
    """The training text of a setup in the order of a seed.

    Raises:
        DataError: If there is too little of it.
    """
    masking = masking_of(setup)
    if setup.packing is None:
        runs, scored = prepared.metadata.runs or (), TrainingDocuments(prepared)
        stream = TokenStream(prepared.tokens("train"), setup.block_tokens, seed, runs, scored)
        return stream if masking is None else MaskedStream(stream, masking)
    examples = _examples(prepared, "train", setup.model.context)
    return ExampleStream(examples, context=setup.block_tokens, is_packed=setup.packing, seed=seed)


def validation_use(prepared: PreparedData, *, context: int, num_tokens: int) -> ValidationUse:
    """Divide the validation split for a new study.

    Raises:
        DataError: If the validation split is too short.
    """
    if prepared.is_task:
        return _use_of_examples(prepared, context, num_tokens)
    tokens, eos_id = prepared.tokens("validation"), prepared.metadata.eos_id
    parts = validation_parts(
        tokens,
        eos_id=eos_id,
        context=context,
        num_tokens=num_tokens,
        split_sha256=prepared.metadata.splits["validation"].sha256,
    )
    judged = None if parts.judged is None else judged_pieces(tokens, parts.judged, context=context, eos_id=eos_id)
    return ValidationUse(
        rows=WindowRows(tokens=tokens, windows=parts.windows),
        fingerprint=parts.windows.fingerprint,
        judged=judged,
        why_not=parts.why_not,
    )


def evaluation_rows(prepared: PreparedData, setup: TrainSetup) -> MeasuredRows:
    """The validation rows on which every trial of a study is measured.

    Raises:
        DataError: If the data are not those of the setup.
    """
    use = _use_of_setup(prepared, setup)
    if (prepared.metadata.fingerprint, use.fingerprint) != (setup.data_fingerprint, setup.windows_fingerprint):
        raise DataError(f"{setup.data_folder} does not hold the data that the study was set up with")
    return _measured(use.rows, setup)


def judged_rows(prepared: PreparedData, setup: TrainSetup) -> JudgedRows | None:
    """Documents on which finished models of a study are judged; None if it has none.

    Raises:
        DataError: If the data are not those of the setup.
    """
    if setup.judged_fingerprint is None:
        return None
    judged = _use_of_setup(prepared, setup).judged
    if judged is None or judged.fingerprint != setup.judged_fingerprint:
        raise DataError(f"{setup.data_folder} does not hold the judged documents that the study was set up with")
    masking = masking_of(setup)
    return judged if masking is None else MaskedJudged(judged, masking)


def searched_examples(prepared: PreparedData, setup: TrainSetup) -> Examples:
    """Validation examples of a task on which every trial is evaluated."""
    found = _use_of_setup(prepared, setup).searched_examples
    assert found is not None, "only tasks have examples"
    return found


def judged_examples(prepared: PreparedData, setup: TrainSetup) -> Examples | None:
    """Examples of a task on which finished models are judged; None if the study has none."""
    judged = judged_rows(prepared, setup)
    return judged.examples if isinstance(judged, JudgedExamples) else None


def rows_of_test_split(prepared: PreparedData, setup: TrainSetup) -> MeasuredRows:
    """Rows of the test split like those of the validation split.

    Raises:
        DataError: If the test split is too short.
    """
    if prepared.is_task:
        return ExampleRows(_examples(prepared, "test", setup.model.context))
    windows = _spread_windows(prepared, "test", context=setup.model.context, num_tokens=setup.evaluation_tokens)
    return _measured(WindowRows(tokens=prepared.tokens("test"), windows=windows), setup)


def over_whole_split(setup: TrainSetup, prepared: PreparedData) -> TrainSetup:
    """The same setup without judged documents, with its windows all over the validation split; a task has none.

    Raises:
        DataError: If the validation split is too short.
    """
    if prepared.is_task:
        return setup
    use = _over_whole_split(prepared, context=setup.model.context, num_tokens=setup.evaluation_tokens)
    return setup.model_copy(update={"windows_fingerprint": use.fingerprint, "judged_fingerprint": None})


def cut_examples(prepared: PreparedData, *, context: int) -> dict[str, int]:
    """Count the examples of a task that are longer than a context, by split; splits without any are left out."""
    if not prepared.is_task:
        return {}
    counts = {split: _examples(prepared, split, context).num_cut for split in SPLITS}
    return {split: count for split, count in counts.items() if count}


def masking_of(setup: TrainSetup) -> Masking | None:
    """How tokens are hidden from a model of masked tokens; None for one of next tokens."""
    model = setup.model
    if not isinstance(model, NetworkFacts) or model.mask_id is None:
        return None
    return Masking(mask_id=model.mask_id, vocab_size=setup.vocab_size)


def _measured(rows: MeasuredRows, setup: TrainSetup) -> MeasuredRows:
    masking = masking_of(setup)
    return rows if masking is None else MaskedRows(rows, masking, setup.model.context)


def _use_of_setup(prepared: PreparedData, setup: TrainSetup) -> ValidationUse:
    context, num_tokens = setup.model.context, setup.evaluation_tokens
    if setup.judged_fingerprint is None and not prepared.is_task:
        return _over_whole_split(prepared, context=context, num_tokens=num_tokens)
    return validation_use(prepared, context=context, num_tokens=num_tokens)


def _over_whole_split(prepared: PreparedData, *, context: int, num_tokens: int) -> ValidationUse:
    """Windows all over the validation split, for studies without judged documents."""
    windows = evaluation_windows_of(prepared, context=context, num_tokens=num_tokens)
    rows = WindowRows(tokens=prepared.tokens("validation"), windows=windows)
    return ValidationUse(rows=rows, fingerprint=windows.fingerprint)


def evaluation_windows_of(prepared: PreparedData, *, context: int, num_tokens: int) -> Windows:
    """Spread windows over the whole validation split.

    Raises:
        DataError: If the validation split is too short.
    """
    return _spread_windows(prepared, "validation", context=context, num_tokens=num_tokens)


def _spread_windows(prepared: PreparedData, name: Split, *, context: int, num_tokens: int) -> Windows:
    split = prepared.metadata.splits[name]
    return evaluation_windows(
        split.num_tokens, context=context, num_tokens=num_tokens, split_sha256=split.sha256, split=name
    )


def _use_of_examples(prepared: PreparedData, context: int, num_tokens: int) -> ValidationUse:
    examples = _examples(prepared, "validation", context)
    parts = example_parts(
        examples, context=context, num_tokens=num_tokens, split_sha256=prepared.split_sha256("validation")
    )
    return ValidationUse(
        rows=parts.rows,
        fingerprint=parts.fingerprint,
        judged=parts.judged,
        why_not=parts.why_not,
        searched_examples=parts.searched,
    )


def _examples(prepared: PreparedData, split: Split, context: int) -> Examples:
    return find_examples(
        prepared.tokens(split),
        prepared.asked(split),
        eos_id=prepared.metadata.eos_id,
        context=context,
        ends=prepared.ends(split),
    )
