"""The README of a final model: what it is, how it was trained, where its recipe comes from."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.records.describe import describe_stage
from mbo_search.study.files.schedule_file import ScheduleFile
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.units import format_count


def model_card(
    file: ScheduleFile,
    *,
    num_parameters: int,
    total_tokens: int,
    val_loss: float,
    beside: str,
    carried_over: Sequence[str] = (),
) -> str:
    """Write the model card.

    Args:
        file: The schedule, without private paths.
        num_parameters: Trainable parameters.
        total_tokens: Charged tokens.
        val_loss: Final validation loss, nats per token.
        beside: What follows on "`schedule.yaml` holds it in full", with its punctuation.
        carried_over: What was changed, or kept, because the model has another size than in the search.
    """
    study, provenance = file.study, file.provenance
    stages = [
        f"| {index} | {stage.name} | {describe_stage(stage)} |" for index, stage in enumerate(file.schedule.stages)
    ]
    status = "confirmed on fresh seeds" if provenance.confirmed else "one seed, unconfirmed"
    return "\n".join(
        (
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [mbo-search, llama]",
            "---",
            f"# {study.study}",
            "",
            f"{_kind(file)} with {format_count(num_parameters)} parameters, trained {_start(file)} with seed "
            f"{study.seed} on {format_count(total_tokens)} tokens of {', '.join(study.data.source)}. "
            f"Final validation loss: {val_loss:.4f} nats per token.",
            "",
            "The training schedule was found by a strategy search:",
            "",
            "| stage | name | strategy |",
            "|--:|---|---|",
            *stages,
            "",
            f"It is schedule #{provenance.trial} ({provenance.arm} arm) of the study, where it reached "
            f"{provenance.val_loss:.4f} nats per token ({status}). `schedule.yaml` holds it in full"
            f"{beside}",
            *_carried_over(carried_over),
            "",
            *_adapters(file),
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            'model = AutoModelForCausalLM.from_pretrained("this/folder")',
            'tokenizer = AutoTokenizer.from_pretrained("this/folder")',
            "```",
            "",
        )
    )


def _kind(file: ScheduleFile) -> str:
    return "A Llama-style decoder" if isinstance(file.study.model, ModelSpec) else "A model"


def _start(file: ScheduleFile) -> str:
    return "on from pretrained weights" if file.study.model.starts_trained else "from scratch"


def _adapters(file: ScheduleFile) -> list[str]:
    """Where the adapters are, which are in the weights already."""
    if file.schedule.stages[0].adapter is None:
        return []
    text = (
        "Its adapters are merged into its weights. Where only norms were trained beside them, `adapter/` holds them"
    )
    return [f"{text} alone, for `peft` and the model that training started from.", ""]


def _carried_over(notes: Sequence[str]) -> list[str]:
    """What was changed, or kept, because the model is not of the size at which the schedule was found."""
    return (
        ["", "Not of the size at which the schedule was found:", "", *(f"- {note}" for note in notes)]
        if notes
        else []
    )
