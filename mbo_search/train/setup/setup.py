"""How a study trains on this machine: every `auto` resolved once, written down, and never probed again.

The setup also names the arithmetic. Two runs with equal numerics give equal bits; so the numerics are part of every
node's key, and a schedule that is trained again elsewhere can say whether its losses are comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mbo_search.data.judged import JudgedText
from mbo_search.data.parts import ValidationParts, validation_parts
from mbo_search.data.windows import Windows, evaluation_windows
from mbo_search.errors import DataError, Problem, StudyError
from mbo_search.model.size import mlp_width
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.keys import root_key
from mbo_search.study.spec.segments import BudgetSteps, resolve_budget, scaled_budget
from mbo_search.study.spec.study import ModelSpec
from mbo_search.study.study import Study
from mbo_search.system.cores import available_cores
from mbo_search.train.setup.branch_points import branch_points

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]

NUMERICS_VERSION = "2"
"""Raised by every change of ours that changes the last bit of a trained weight or a measured loss."""


class TrainSetup(Description):
    """All that training needs besides a schedule and a seed.

    Attributes:
        schema_version: Version of this format.
        model: What is trained.
        vocab_size: Tokens of the vocabulary.
        data_folder: Where the prepared data lies.
        data_fingerprint: Names the tokens.
        bytes_per_token: UTF-8 bytes per token of the validation split.
        num_segments: Grid segments of a full schedule.
        steps_per_segment: Optimizer steps of each.
        batch_tokens: Tokens of one optimizer step.
        block_tokens: Length of the blocks in which the training text is shuffled.
        micro_batch: Sequences of one forward pass.
        precision: Arithmetic of the forward pass.
        threads: Processor threads of one trial.
        device: Where trials compute.
        ranks: Processes that train one trial together, each with so many threads, or a GPU of its own.
        evaluation_tokens: Validation tokens of one evaluation.
        points: Evaluations along a full schedule.
        windows_fingerprint: Names the evaluation windows.
        judged_fingerprint: Names the judged documents, which the evaluation windows leave out; None: there are
            none, and the windows lie all over the validation split.
        branch_points: Grid points at which schedules of the study may leave a stage.
        numerics: Everything that may change the last bit, by name.
    """

    schema_version: Literal["mbo-search/setup/1"] = "mbo-search/setup/1"
    model: ModelSpec
    vocab_size: int = Field(gt=0)
    data_folder: str
    data_fingerprint: str
    bytes_per_token: float = Field(gt=0)
    num_segments: int = Field(gt=0)
    steps_per_segment: int = Field(gt=0)
    batch_tokens: int = Field(gt=0)
    block_tokens: int = Field(gt=0)
    micro_batch: int = Field(gt=0)
    precision: Precision
    threads: int = Field(gt=0)
    device: Device
    ranks: int = Field(default=1, ge=1)
    evaluation_tokens: int = Field(gt=0)
    points: int = Field(gt=0)
    windows_fingerprint: str
    judged_fingerprint: str | None = None
    branch_points: tuple[int, ...] = ()
    numerics: dict[str, str]

    @property
    def num_sequences(self) -> int:
        """Sequences of one optimizer step."""
        return self.batch_tokens // self.model.context

    def budget(self) -> BudgetSteps:
        """The budget of one full schedule in steps."""
        return BudgetSteps(
            num_segments=self.num_segments,
            steps_per_segment=self.steps_per_segment,
            batch_tokens=self.batch_tokens,
        )

    def scaled(self, multiple: float) -> TrainSetup:
        """The same setup for a longer or shorter budget, rounded to whole steps."""
        if multiple == 1.0:
            return self
        budget = scaled_budget(self.budget(), multiple)
        changes = {"num_segments": budget.num_segments, "steps_per_segment": budget.steps_per_segment}
        return self.model_copy(update={**changes, "branch_points": ()})

    def root_key(self, seed: int) -> str:
        """Key of the untrained model.

        The length of the budget is part of it although most steps do not depend on it: evaluations lie on its grid,
        and behind its last step no mean of the weights is kept. A node of another budget would lack what is
        measured of it, so that results would depend on what had been trained before.
        """
        model = self.model.model_dump(mode="json") | {
            "mlp_width": mlp_width(self.model),
            "vocab_size": self.vocab_size,
            "block_tokens": self.block_tokens,
            "budget_steps": self.budget().total_steps,
        }
        return root_key(model=model, data_fingerprint=self.data_fingerprint, seed=seed, numerics=self.numerics)

    def is_evaluated(self, index: int) -> bool:
        """Whether every schedule is evaluated behind a grid segment."""
        return (index + 1) * self.points // self.num_segments > index * self.points // self.num_segments


def resolve_setup(study: Study, prepared: PreparedData, workers: int) -> TrainSetup:
    """Settle how a study trains here; takes up to a few seconds of measuring.

    Raises:
        StudyError: If the batch does not fit the context, or the budget does not fit the grid.
        DataError: If there is too little text for the evaluation windows.
    """
    from mbo_search.train.setup.probe import default_device

    _check_batch(study)
    parts = validation_parts_of(prepared, context=study.model.context, num_tokens=study.evaluation.tokens)
    budget = resolve_budget(study.budget.tokens, study.budget.grid, study.train.batch_tokens)
    model, vocab_size, train = study.model, prepared.card.vocab_size, study.train
    ranks = study.resources.workers_per_trial
    threads = max(1, available_cores() // (workers * ranks)) if train.threads == "auto" else train.threads
    device = default_device() if train.device == "auto" else train.device
    _check_device(device, default_device())
    precision, micro_batch = _probe(study, vocab_size, device=device, threads=threads)
    return TrainSetup(
        model=model,
        vocab_size=vocab_size,
        data_folder=str(prepared.folder.resolve()),
        data_fingerprint=prepared.card.fingerprint,
        bytes_per_token=_bytes_per_token(prepared),
        num_segments=budget.num_segments,
        steps_per_segment=budget.steps_per_segment,
        batch_tokens=budget.batch_tokens,
        block_tokens=model.context,
        micro_batch=micro_batch,
        precision=precision,
        threads=threads,
        device=device,
        ranks=ranks,
        evaluation_tokens=study.evaluation.tokens,
        points=study.evaluation.points,
        windows_fingerprint=parts.windows.fingerprint,
        judged_fingerprint=None if parts.judged is None else parts.judged.fingerprint,
        branch_points=branch_points(study),
        numerics=_numerics(device, precision, threads, micro_batch) | _rank_numerics(ranks),
    )


def numerics_here(setup: TrainSetup) -> dict[str, str]:
    """What the numerics of a setup are on this machine; equal to its own where it trains to the same bits."""
    alone = _numerics(setup.device, setup.precision, setup.threads, setup.micro_batch)
    return alone | _rank_numerics(setup.ranks)


def validation_parts_of(prepared: PreparedData, *, context: int, num_tokens: int) -> ValidationParts:
    """What a new study uses the validation split for.

    Raises:
        DataError: If the validation split is too short.
    """
    return validation_parts(
        prepared.tokens("validation"),
        eos_id=prepared.card.eos_id,
        context=context,
        num_tokens=num_tokens,
        split_sha256=prepared.card.splits["validation"].sha256,
    )


def changed_numerics(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Where two numerics differ."""
    names = sorted({*before, *after})
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return tuple((name, old, new) for name, old, new in pairs if old != new)


def evaluation_windows_of(prepared: PreparedData, *, context: int, num_tokens: int) -> Windows:
    """Windows all over the validation split, for studies without judged documents.

    Raises:
        DataError: If the validation split is too short.
    """
    split = prepared.card.splits["validation"]
    return evaluation_windows(split.num_tokens, context=context, num_tokens=num_tokens, split_sha256=split.sha256)


def windows_of_setup(prepared: PreparedData, setup: TrainSetup) -> Windows:
    """The validation windows on which every trial of a study is measured.

    Raises:
        DataError: If the data are not those of the setup.
    """
    context, num_tokens = setup.model.context, setup.evaluation_tokens
    if setup.judged_fingerprint is None:
        windows = evaluation_windows_of(prepared, context=context, num_tokens=num_tokens)
    else:
        windows = validation_parts_of(prepared, context=context, num_tokens=num_tokens).windows
    if (prepared.card.fingerprint, windows.fingerprint) != (setup.data_fingerprint, setup.windows_fingerprint):
        raise DataError(f"{setup.data_folder} holds other data than the study was set up with")
    return windows


def judged_text_of(prepared: PreparedData, setup: TrainSetup) -> JudgedText | None:
    """The documents on which finished models of a study are judged; None if it has none.

    Raises:
        DataError: If the data are not those of the setup.
    """
    if setup.judged_fingerprint is None:
        return None
    context, num_tokens = setup.model.context, setup.evaluation_tokens
    judged = validation_parts_of(prepared, context=context, num_tokens=num_tokens).judged
    if judged is None or judged.fingerprint != setup.judged_fingerprint:
        raise DataError(f"{setup.data_folder} holds other documents to judge on than the study was set up with")
    return judged


def over_whole_split(setup: TrainSetup, prepared: PreparedData) -> TrainSetup:
    """The same setup without judged documents, with its windows all over the validation split.

    Raises:
        DataError: If the validation split is too short.
    """
    windows = evaluation_windows_of(prepared, context=setup.model.context, num_tokens=setup.evaluation_tokens)
    changes = {"windows_fingerprint": windows.fingerprint, "judged_fingerprint": None}
    return setup.model_copy(update=changes)


def _probe(study: Study, vocab_size: int, *, device: Device, threads: int) -> tuple[Precision, int]:
    """What `auto` means here for precision and micro-batch; nothing is measured for what the study says itself."""
    from mbo_search.train.setup.probe import faster_precision, fastest_micro_batch, prober

    precision, micro_batch = study.train.precision, study.train.micro_batch
    if precision != "auto" and micro_batch != "auto":
        return precision, micro_batch
    num_sequences = study.train.batch_tokens // study.model.context // study.resources.workers_per_trial
    with prober(study.model, vocab_size, device=device, threads=threads) as found:
        if precision == "auto":
            precision = faster_precision(found, num_sequences)
        if micro_batch == "auto":
            micro_batch = fastest_micro_batch(found, num_sequences, precision)
    return precision, micro_batch


def _numerics(device: Device, precision: Precision, threads: int, micro_batch: int) -> dict[str, str]:
    from mbo_search.train.setup.arithmetic_fingerprint import arithmetic_print, chosen_instructions
    from mbo_search.train.setup.probe import arithmetic_versions

    return {
        **arithmetic_versions(device),
        **chosen_instructions(),
        "arithmetic": arithmetic_print(device, precision, threads),
        "device": device,
        "precision": precision,
        "threads": str(threads),
        "micro_batch": str(micro_batch),
        "numerics_version": NUMERICS_VERSION,
    }


def _rank_numerics(ranks: int) -> dict[str, str]:
    """Sums over several processes are rounded otherwise; keys of one process stay what they were."""
    return {"ranks": str(ranks)} if ranks > 1 else {}


def _bytes_per_token(prepared: PreparedData) -> float:
    bytes_per_token = prepared.card.splits["validation"].bytes_per_token
    assert bytes_per_token is not None, "a split with windows has tokens"
    return bytes_per_token


def _check_device(device: Device, found: Device) -> None:
    if device == "cuda" and found != "cuda":
        hint = "install a torch with CUDA, or set it to cpu or auto"
        raise StudyError([Problem(key="train.device", value=device, rule="needs a GPU that torch sees", hint=hint)])


def _check_batch(study: Study) -> None:
    context, batch_tokens, micro_batch = study.model.context, study.train.batch_tokens, study.train.micro_batch
    problems = []
    if batch_tokens % context:
        rule = f"must be a multiple of model.context, {context}"
        hint = f"such as {max(1, round(batch_tokens / context)) * context}"
        problems.append(Problem(key="train.batch_tokens", value=str(batch_tokens), rule=rule, hint=hint))
    elif micro_batch != "auto" and not 1 <= micro_batch <= batch_tokens // context:
        rule = f"must lie between 1 and the {batch_tokens // context} sequences of a batch"
        problems.append(Problem(key="train.micro_batch", value=str(micro_batch), rule=rule, hint="or `auto`"))
    if problems:
        raise StudyError(problems)
