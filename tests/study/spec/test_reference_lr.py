"""Proves which reference learning rate a study has for what it trains, and that plans say why."""

from __future__ import annotations

import pytest

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.optimizer_warnings import optimizer_warnings
from mbo_search.study.spec.adapters import AdaptersSpec, LoraSpec
from mbo_search.study.spec.fresh_models import ArchitectureSpec
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.reference_lr import reference_lr, reference_lrs, reference_reason
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.task import TaskSpec
from tests.study.builders import optimizers, stage_space, study

TOKENIZER = TokenizerSpec(kind="file", path="base")
TEXT = DataSpec(source=("docs",), tokenizer=TOKENIZER)
TASK = DataSpec(source=("pairs.jsonl",), tokenizer=TOKENIZER, task=TaskSpec(prompt="question", completion="answer"))
FULL = PretrainedSpec(pretrained="base", context=64)
LORA = FULL.model_copy(update={"adapters": AdaptersSpec(lora=LoraSpec(rank=4))})


def of(model, data=TEXT, *, offered=("adamw",), **sections):
    stages = (stage_space("a", 0.5, optimizer=optimizers(*offered)), stage_space("b"))
    plain = study(*stages)
    return plain.model_copy(update={"model": model, "data": data, **sections})


@pytest.mark.parametrize(
    ("model", "data", "adamw", "words"),
    [
        (FULL, TEXT, 1e-4, ("continued training", "arXiv:2407.07263", "arXiv:2403.08763")),
        (FULL, TASK, 3e-5, ("fine-tuning", "on a task", "arXiv:1810.04805", "arXiv:2307.09288")),
        (LORA, TEXT, 1e-3, ("10 times", "adapters", "arXiv:2405.09673", "continued training")),
        (LORA, TASK, 3e-4, ("10 times", "adapters", "thinkingmachines.ai/blog/lora", "on a task")),
    ],
    ids=["text", "task", "adapters on text", "adapters on a task"],
)
def test_pretrained_weights_have_their_own_reference_with_its_sources(model, data, adamw, words):
    found = reference_lrs(of(model, data))
    assert found["adamw"] == pytest.approx(adamw)
    for name, info in OPTIMIZERS.items():
        ratio = info.reference_lr / OPTIMIZERS["adamw"].reference_lr
        assert found[name] == pytest.approx(adamw * ratio, rel=1e-3)
    reason = reference_reason(of(model, data))
    assert all(word in reason for word in words), reason


def test_fresh_weights_have_the_catalogue_s_at_their_width():
    plain = study(stage_space())
    assert reference_lr(plain, "adamw") == pytest.approx(2e-3 * 256 / 64)
    assert reference_reason(plain).endswith("the catalogue's, which hold at width 256, scaled to width 64.")
    unknown = of(ArchitectureSpec(architecture="qwen3", context=64))
    assert reference_lr(unknown, "adamw") == 2e-3
    assert "as no rule is known for this model" in reference_reason(unknown)


def test_the_study_s_own_count_and_are_named():
    own = of(FULL, reference_lr={"adamw": 5e-6})
    assert reference_lr(own, "adamw") == 5e-6
    assert reference_reason(own).endswith("Those of adamw are the study's own.")


def test_muon_on_pretrained_weights_is_warned_of_and_nothing_else():
    (warning,) = optimizer_warnings(of(FULL, offered=("adamw", "muon")))
    assert warning.startswith("muon is reported to lose to AdamW")
    assert "arXiv:2605.10468" in warning
    assert not optimizer_warnings(of(FULL, offered=("adamw", "lion")))
    assert not optimizer_warnings(study(stage_space(optimizer=optimizers("muon"))))
