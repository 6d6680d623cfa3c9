"""Proves that the examples are searched with shared beginnings, and that killing them loses nothing."""

from __future__ import annotations

import difflib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.overlays import with_overlay
from tests.helpers.processes import ended_at_last, wait_for
from tests.own_trainer.searches import EXAMPLES, ROOT, WITNESS_SCRIPT, Searched

ALL = ["search.searcher=random", "baselines=[]", "resources.hang_minutes=2"]


@dataclass(frozen=True)
class Example:
    """An example, and how it is made small.

    Attributes:
        folder: Its folder, or the name of its study beside those of adapters.
        command: Its command with the witness in it.
        trials: Schedules that share a beginning.
        settings: What is set beside that.
        overlay: Packages that it needs.
        saves: Whether it saves itself on the way, unasked; one that does not begins a killed span again.
    """

    folder: str
    command: str
    trials: int
    settings: tuple[str, ...] = ()
    overlay: str = ""
    saves: bool = True

    @property
    def study(self) -> Path:
        """Its study file."""
        beside = ROOT / "examples" / f"{self.folder}.yaml"
        return beside if beside.exists() else EXAMPLES / self.folder / "study.yaml"

    def set_for(self, trials: int) -> list[str]:
        """The settings of a search of so many schedules."""
        command = f"runner.command={self.command.replace('WITNESS', WITNESS_SCRIPT)}"
        return [command, f"search.trials={trials}", *ALL, *self.settings]

    def environment(self, searched: Searched) -> dict[str, str]:
        """The environment of its search."""
        return with_overlay(self.overlay, searched.environment) if self.overlay else searched.environment


NANOGPT = Example(
    "nanogpt_shaped", "python WITNESS train_searched.py", 2, ("stages.0.share=0.5", "stages.0.lr=0.01")
)
JAX = Example(
    "jax_script", "python WITNESS train.py", 2, ("stages.0.share=0.5", "stages.0.optimizer=adamw"), overlay="jax"
)
TORCHRUN = Example("torchrun", "torchrun --nproc-per-node 2 WITNESS train_ddp.py", 2)


HF_TRAINER = Example(
    "hf-trainer",
    "python WITNESS hf_trainer.py",
    2,
    ("stages.0.share=0.5", "stages.0.optimizer=adamw", "stages.0.lr=0.01", "control=0", "confirm=null"),
    saves=False,
)


def test_the_diff_shows_what_was_changed():
    folder = EXAMPLES / "nanogpt_shaped"
    texts = [
        (folder / name).read_text(encoding="utf-8").splitlines(True) for name in ("train.py", "train_searched.py")
    ]
    made = "".join(difflib.unified_diff(*texts, "train.py", "train_searched.py", n=1))
    if os.environ.get("WRITE_DIFF"):
        (folder / "train.diff").write_text(made, encoding="utf-8")
    assert (folder / "train.diff").read_text(encoding="utf-8") == made, "run this test with WRITE_DIFF=1"
    assert f"```diff\n{made}```" in (ROOT / "docs" / "own-trainer.md").read_text(encoding="utf-8")
    changed = [line for line in made.splitlines() if line.startswith("+") and line[1:].strip()]
    assert len(changed) <= 30


@pytest.mark.slow
@pytest.mark.parametrize("example", [NANOGPT, JAX, TORCHRUN, HF_TRAINER], ids=lambda example: example.folder)
def test_an_example_is_searched_with_shared_beginnings_and_survives_kills(example, tmp_path):
    study = example.study
    whole = Searched(tmp_path / "whole")
    whole.search(study, *example.set_for(example.trials), environment=example.environment(whole))
    assert [record.state for record in whole.records] == ["complete"] * example.trials
    trained = sum(record.cost.executed_tokens for record in whole.records)
    assert trained < sum(record.requested_tokens for record in whole.records)
    nodes = [boundary.node for record in whole.records for boundary in record.boundaries]
    assert len(set(nodes)) < len(nodes)
    assert whole.spans("finished") == dict.fromkeys(nodes, 1)

    killed = Searched(tmp_path / "killed")
    trials = example.trials - 1  # the same first schedules: the rest would only take time
    kill_in_the_midst(killed, study, example, trials)
    killed.search(study, environment=example.environment(killed))
    assert killed.outcome == whole.outcome[:trials]
    nodes = [boundary.node for record in killed.records for boundary in record.boundaries]
    assert killed.spans("finished") == dict.fromkeys(nodes, 1)
    again = [note for note in killed.notes if note["event"] == "began" and note["saved"]]
    assert not example.saves or len(again) == 1, "the span that was killed goes on from what it had saved"


def is_filled(run: Path, name: str) -> bool:
    """Whether a file of a span in training is there and holds something."""
    return any(file.stat().st_size for file in run.glob(f"scratch/*/{name}"))


def kill_in_the_midst(killed: Searched, study: Path, example: Example, trials: int) -> None:
    """Begin a search, and kill it with its command while the first span is trained."""
    words, environment = killed.words(study, *example.set_for(trials)), example.environment(killed)
    with ended_at_last() as start:
        driver = start(words, killed.run, environment)
        signs = ("partial/*.pt", "partial/*.npz") if example.saves else ("report.jsonl",)
        wait_for(lambda: driver.poll() is not None or any(is_filled(killed.run, name) for name in signs))
        assert driver.poll() is None
        driver.send_signal(signal.SIGKILL)
