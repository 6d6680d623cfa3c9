"""The format `hf`: the model that a trial ended with, as a folder that `transformers` loads."""

from __future__ import annotations

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import Problem, UserError
from mbo_search.export.hub_folder import CONFIG, write_hub_folder
from mbo_search.export.model_card import model_card
from mbo_search.export.private_paths import without_folders
from mbo_search.export.request import ExportRequest, Written
from mbo_search.export.sample import load_trial
from mbo_search.model.language_model import LanguageModel
from mbo_search.model.own_module import OwnModel
from mbo_search.model.size import num_parameters
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_data import refuse_foreign
from mbo_search.study.files.schedule_file import dump_schedule_file
from mbo_search.system.files import write_atomic

_CARD, _SCHEDULE = "README.md", "schedule.yaml"


def write_hub(request: ExportRequest) -> Written:
    """Write the weights of a trial with their tokenizer, the schedule and a card.

    Raises:
        UserError: If the weights are no longer kept, or are those of a model that `transformers` does not know.
        DataError: If the tokenizer is gone and cannot be made again.
    """
    refuse_foreign(request.run.study().runner, where=str(request.run.path))
    _check_place(request)
    prepared = request.prepared()
    model, _ = load_trial(request.run, request.trial, prepared)
    if isinstance(model, OwnModel):
        rule = "is a module of your own, which `transformers` has no class for"
        hint = "`mbo-search train` writes a folder with its weights and its code"
        raise UserError([Problem(key="model.code", value=model.spec.code, rule=rule, hint=hint)])
    remarks = _remarks(request, model, prepared)
    request.out.mkdir(parents=True, exist_ok=True)
    write_atomic(request.out / _CARD, _card(request, remarks))
    write_atomic(request.out / _SCHEDULE, dump_schedule_file(without_folders(request.file)))
    write_hub_folder(model, prepared.tokenizer_folder, request.out)
    kind = "AutoModelForMaskedLM" if model.objective == "masked" else "AutoModelForCausalLM"
    return Written(
        files=(request.out, *sorted(path for path in request.out.iterdir() if path.is_file())),
        remarks=remarks,
        next=f'load it: {kind}.from_pretrained("{request.out}")',
    )


def val_loss_of(request: ExportRequest) -> float:
    """Validation loss that the trial ended with, on its own seed."""
    val_loss = _record(request).val_loss
    assert val_loss is not None, "a complete trial has a loss"
    return val_loss


def seed_of(request: ExportRequest) -> int:
    """Seed of the trial."""
    return _record(request).seed


def _record(request: ExportRequest) -> TrialRecord:
    return next(record for record in request.run.records() if record.trial == request.trial)


def _card(request: ExportRequest, remarks: tuple[str, ...]) -> str:
    setup = request.run.setup()
    return model_card(
        without_folders(request.file),
        num_parameters=num_parameters(setup.own_model, setup.vocab_size),
        total_tokens=setup.budget().total_tokens,
        val_loss=val_loss_of(request),
        beside=" ".join((". The weights are those that this trial ended with.", *remarks)),
    )


def _remarks(request: ExportRequest, model: LanguageModel, prepared: PreparedData) -> tuple[str, ...]:
    """What such a folder cannot say."""
    found = ["The folder holds the weights that are evaluated, without the optimizer's state."]
    if request.file.schedule.stages[-1].optimizer == "sf_adamw":
        found.append(
            "They are the mean of the weights that schedule-free AdamW evaluates, not those that it trains."
        )
    if prepared.is_task:
        found.append("How a prompt of the task is written is said in schedule.yaml, not in the model's settings.")
    if model.objective == "next_token":
        longest = request.run.setup().model.context
        found.append(
            f"It was trained on {longest} tokens at a time; what lies further back was never learned from."
        )
        found.append(
            "Where the token that ends a document also pads, transformers leaves its row of the embedding as it is "
            "in further training; `model.get_input_embeddings().padding_idx = None` lets it learn."
        )
    return tuple(found)


def _check_place(request: ExportRequest) -> None:
    """Refuse a folder that holds something else."""
    out = request.out
    if out.is_dir() and any(out.iterdir()) and not ((out / CONFIG).is_file() and (out / _SCHEDULE).is_file()):
        rule = "holds files of something else"
        raise UserError([Problem(key="--out", value=str(out), rule=rule, hint="choose another name")])
