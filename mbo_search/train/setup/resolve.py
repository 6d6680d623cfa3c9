"""Settle how a study trains on this machine: every `auto` is resolved once, and the arithmetic is named."""

from __future__ import annotations

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import Problem, StudyError
from mbo_search.metrics.library import check_libraries
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.study.spec.pretrained import PretrainedModel
from mbo_search.study.spec.sections.model import SizedModel
from mbo_search.study.study import Study
from mbo_search.system.cores import available_cores
from mbo_search.system.device import Device
from mbo_search.train.setup.branches import branch_points
from mbo_search.train.setup.eval_text import validation_use
from mbo_search.train.setup.foreign import foreign_numerics, foreign_setup
from mbo_search.train.setup.memory import check_memory, trial_memory
from mbo_search.train.setup.setup import TrainSetup


def resolve_setup(study: Study, prepared: PreparedData | None, workers: int) -> TrainSetup:
    """Settle how a study trains here; loading torch and measuring take up to a few seconds.

    Args:
        study: The study.
        prepared: Its text; None where a trainer of its own trains it.
        workers: Trials at once.

    Raises:
        StudyError: If the batch does not fit the context, the budget does not fit the grid, or the library of a
            metric is missing.
        DataError: If there is too little text for the evaluation windows.
    """
    if study.runner is not None:
        return foreign_setup(study, study.runner)
    assert prepared is not None, "the built-in trainer needs text"
    from mbo_search.train.setup.compiling import settle_compiling
    from mbo_search.train.setup.probe import choose_arithmetic, default_device

    _check_batch(study)
    check_libraries(study.evaluation.metrics)
    device = default_device() if study.train.device == "auto" else study.train.device
    _check_device(device, default_device())
    smallest = _smallest_setup(study, prepared, device, workers)
    check_memory(study, smallest, workers)  # measuring builds the model, which must not end this process
    precision, micro_batch = choose_arithmetic(
        study, smallest.own_model, smallest.vocab_size, device=device, threads=smallest.threads
    )
    setup = smallest.model_copy(update={"precision": precision, "micro_batch": micro_batch})
    setup = _within_memory(study, setup, workers)
    setup = setup.model_copy(update={"compiled": settle_compiling(study, setup, workers)})
    return setup.model_copy(update={"numerics": numerics_here(setup)})


def _smallest_setup(study: Study, prepared: PreparedData, device: Device, workers: int) -> TrainSetup:
    """Everything that need not be measured; with one sequence at a time, in full precision."""
    use = validation_use(prepared, context=study.model.context, num_tokens=study.evaluation.tokens)
    budget = study_budget(study)
    vocab_size = prepared.metadata.vocab_size
    return TrainSetup(
        model=_checked_model(study, vocab_size),
        vocab_size=vocab_size,
        data_folder=str(prepared.folder.resolve()),
        data_fingerprint=prepared.metadata.fingerprint,
        bytes_per_token=_bytes_per_token(prepared),
        num_segments=budget.num_segments,
        steps_per_segment=budget.steps_per_segment,
        batch_tokens=budget.batch_tokens,
        unit_steps=budget.unit_steps,
        block_tokens=study.model.context,
        micro_batch=1,
        precision="float32",
        threads=_threads(study, workers),
        device=device,
        ranks=study.resources.workers_per_trial,
        gradient_checkpointing=study.train.gradient_checkpointing,
        packing=None if study.data.task is None else study.data.task.packing,
        evaluation_tokens=study.evaluation.tokens,
        points=study.evaluation.points,
        windows_fingerprint=use.fingerprint,
        judged_fingerprint=use.judged_fingerprint,
        branch_points=branch_points(study),
        numerics={},
    )


def _threads(study: Study, workers: int) -> int:
    """CPU threads of one process of a trial: as given, or its part of the cores."""
    given, ranks = study.train.threads, study.resources.workers_per_trial
    return max(1, available_cores() // (workers * ranks)) if given == "auto" else given


def _checked_model(study: Study, vocab_size: int) -> SizedModel:
    """The model of a study, if it knows the vocabulary and can do the task."""
    from mbo_search.model.build import sized_model

    model = sized_model(study.model, vocab_size)
    _check_vocabulary(model, vocab_size)
    _check_objective(study, model)
    return model


def _within_memory(study: Study, setup: TrainSetup, workers: int) -> TrainSetup:
    """The setup with a micro-batch of which all trials at once fit, where it may be chosen."""
    if study.train.micro_batch != "auto" or setup.micro_batch == 1:
        return setup
    memory = trial_memory(study, setup, workers)
    if not memory.is_surely_too_little(setup.micro_batch):
        return setup
    return setup.model_copy(update={"micro_batch": max(1, min(setup.micro_batch, memory.largest_micro_batch))})


def numerics_here(setup: TrainSetup) -> dict[str, str]:
    """The numerics of a setup on this machine; equal to its own where it trains to the same bits."""
    if setup.runner is not None:
        return foreign_numerics(setup.runner)
    from mbo_search.train.setup.arithmetic_fingerprint import numerics

    return numerics(setup)


def _bytes_per_token(prepared: PreparedData) -> float:
    """Bytes of text for each token on which the loss is a mean: of a task, those that are asked."""
    split = prepared.metadata.splits["validation"]
    if split.asked is not None:
        return split.asked.num_bytes / split.asked.num_tokens
    assert split.bytes_per_token is not None, "a split with windows has tokens"
    return split.bytes_per_token


def _check_device(device: Device, found: Device) -> None:
    if device == "cuda" and found != "cuda":
        hint = "install a torch with CUDA, or set it to cpu or auto"
        raise StudyError([Problem(key="train.device", value=device, rule="needs a GPU that torch sees", hint=hint)])


def _check_vocabulary(model: SizedModel, vocab_size: int) -> None:
    if isinstance(model, PretrainedModel) and vocab_size > model.num_embeddings:
        rule = f"has {vocab_size} tokens, of which the pretrained model knows {model.num_embeddings}"
        hint = "leave data.tokenizer out for the model's own"
        raise StudyError([Problem(key="data.tokenizer", rule=rule, hint=hint)])


def _check_objective(study: Study, model: SizedModel) -> None:
    if study.data.task is not None and isinstance(model, NetworkFacts) and model.objective == "masked":
        rule = "predicts masked tokens, and a task asks for next ones"
        hint = "leave data.task out, or take a causal model"
        raise StudyError([Problem(key="model", value=model.architecture, rule=rule, hint=hint)])


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
