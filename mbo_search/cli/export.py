"""`export`, `replay`, `train` and `sample`: what becomes of a schedule once it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mbo_search.api.studies import data_cache
from mbo_search.api.tables import facts
from mbo_search.cli.console import EXIT_FAILED, EXIT_OK, CommandResult, error_console
from mbo_search.errors import TrialError, command_line
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import ScheduleFile, load_schedule_file
from mbo_search.units import format_count, format_seconds

if TYPE_CHECKING:
    from mbo_search.export.request import Exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Settings of `sample`.

    Attributes:
        prompt: The text to continue.
        num_tokens: Most tokens to add.
        temperature: 0 takes the likeliest token each time.
        seed: Of the draws.
    """

    prompt: str
    num_tokens: int
    temperature: float
    seed: int


def export_schedules(
    folder: Path, out: Path, *, form: str | None, trial: int | None, top: int | None
) -> CommandResult:
    """Write a schedule of a run directory to a file, or several to a file each.

    Raises:
        UserError: If there is no such schedule, the format cannot express it, or the file cannot be written.
    """
    from mbo_search.export.files import Chosen
    from mbo_search.export.files import export_schedules as write_schedules

    exports = write_schedules(RunDirectory.open(folder), Chosen(trial=trial, top=top), form, out)
    return CommandResult(
        schema="mbo-search/export/1",
        document={
            "file": str(exports[0].out),
            "format": exports[0].form,
            "exports": [_export_document(one) for one in exports],
        },
        text=[line for one in exports for line in _export_lines(one)],
        next=exports[0].next,
        brief=" ".join(str(one.out) for one in exports),
    )


def _export_document(one: Exported) -> dict[str, object]:
    files = [str(file) for file in one.files]
    return {"trial": one.trial, "file": str(one.out), "files": files, "remarks": list(one.remarks)}


def _export_lines(one: Exported) -> Iterator[str]:
    beside = "".join(f", {file}" for file in one.files[1:])
    yield f"Wrote {one.out}{beside} (#{one.trial})."
    if one.can_be_trained:
        yield f"It trains again with: {command_line('replay', one.out)}"
    for remark in one.remarks:
        yield f"Remark: {remark}"


def replay_schedule(file: Path, *, quiet: bool) -> CommandResult:
    """Train an exported schedule again with its own seed, and compare.

    Raises:
        UserError: If the file or its text cannot be used.
    """
    from mbo_search.export.replay import replay

    with _interruptible("nothing was kept") as stop, TemporaryDirectory(prefix="mbo-replay-") as folder:
        result = replay(
            load_schedule_file(file), cache=data_cache(), folder=Path(folder), stop=stop, log=_log(quiet=quiet)
        )
    return CommandResult(
        schema="mbo-search/replay/1",
        document=result.model_dump(mode="json"),
        text=[result.sentence],
        next=_train(file) if result.is_met else f"see what this machine has: {command_line('doctor')}",
        brief=result.sentence,
        exit_code=EXIT_OK if result.is_met else EXIT_FAILED,
    )


def train_model(file: Path, out: Path, overrides: Sequence[str], *, quiet: bool) -> CommandResult:
    """Train the final model from an exported schedule.

    Raises:
        UserError: If the file, the overrides, the text or the folder cannot be used.
    """
    from mbo_search.export.final import train_final

    with _interruptible(f"repeat the command to continue in {out}") as stop:
        final = train_final(
            load_schedule_file(file), out, overrides, cache=data_cache(), stop=stop, log=_log(quiet=quiet)
        )
    perplexity = "-" if final.val_perplexity is None else f"{final.val_perplexity:.2f}"
    rows = [
        *([("parameters", format_count(final.num_parameters))] if final.num_parameters is not None else []),
        ("tokens", format_count(final.total_tokens)),
        ("perplexity", perplexity),
        ("loss", f"{final.val_loss:.4f} nats per token"),
        *([("bits per byte", f"{final.bits_per_byte:.4f}")] if final.bits_per_byte is not None else []),
        ("training", format_seconds(final.train_seconds)),
        ("model", f"{out} ({_reader(final.file)})"),
        *(("note", note) for note in final.carried_over),
    ]
    document = {"folder": str(out), **final.model_dump(mode="json", exclude={"schema_version"})}
    return CommandResult(
        schema="mbo-search/train/1",
        document=document,
        text=[facts(rows)],
        next=_try(out, final.file),
        brief=str(out),
    )


def continue_text(source: Path, wanted: Continuation) -> CommandResult:
    """Let a trained model continue a text.

    Raises:
        UserError: If there is no model, or its weights are no longer kept.
    """
    from mbo_search.export.sample import sample

    text = sample(
        source,
        wanted.prompt,
        num_tokens=wanted.num_tokens,
        temperature=wanted.temperature,
        seed=wanted.seed,
    )
    return CommandResult(
        schema="mbo-search/sample/1",
        document={"prompt": wanted.prompt, "continuation": text, "seed": wanted.seed},
        text=[f"{wanted.prompt}{text}"],
        brief=text.replace("\n", " "),
    )


def _train(file: Path) -> str:
    return f"train the final model: {command_line('train', file, '--out', 'final-model')}"


def _reader(file: ScheduleFile) -> str:
    """Who reads a final model."""
    if file.study.runner is not None:
        return f"{file.study.runner.name} reads its state"
    return "transformers.AutoModelForCausalLM.from_pretrained loads it"


def _try(model: Path, file: ScheduleFile) -> str:
    if file.study.runner is not None:
        return ""
    return f"let it continue a text: {command_line('sample', model, '--prompt', 'The ')}"


@contextmanager
def _interruptible(hint: str) -> Iterator[Callable[[], bool]]:
    """Stop at the next step after Ctrl-C or a termination signal; before the first one, at once.

    Raises:
        TrialError: If the training was stopped, with what to do next.
        KeyboardInterrupt: If it had not begun, with what to do next.
    """
    from mbo_search.engine.backends.stop_signals import stop_once_polled

    with stop_once_polled() as stop:
        try:
            yield stop
        except TrialError as error:
            if error.reason != "signal":
                raise
            raise TrialError("signal", f"interrupted; {hint}") from error
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"Interrupted; {hint}.") from error


def _log(*, quiet: bool) -> Callable[[str], None]:
    """Where the lines of a training go: stderr, or nowhere."""
    if quiet:
        return lambda _: None
    console = error_console()
    return lambda line: console.print(line)
