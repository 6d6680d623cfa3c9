"""Proves that untuned baselines are what their names say, and that schedule files serve as baselines too."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.catalogue.baseline_names import baseline_names, split_baseline
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.study_file import load_study
from mbo_search.study.space.space import staged_space
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.segments import cut
from tests.study.builders import stage_space, study
from tests.study.studies import SMALL

HAND_WRITTEN = """\
stages:
  - name: only
    share: 1.0
    optimizer: lion
    hparams: {beta1: 0.9, beta2: 0.98}
    lr: 0.001
    lr_shape: {kind: linear, hparams: {floor: 0.0}}
"""


@pytest.mark.parametrize("name", baseline_names())
def test_every_baseline_is_one_complete_stage_at_the_reference_learning_rate(name):
    one = study(stage_space("a", 0.5), stage_space("b"))
    schedule = baseline_schedule(one, name)
    (stage,) = schedule.stages
    assert (stage.optimizer, stage.lr_shape.kind) == split_baseline(name)
    assert stage.lr == reference_lr(one, stage.optimizer)
    assert stage.hparams.keys() == OPTIMIZERS[stage.optimizer].hparams.keys()
    assert stage.lr_shape.hparams.keys() == LR_SHAPES[stage.lr_shape.kind].hparams.keys()
    assert len(cut(schedule, staged_space(one).budget)) == 20


def test_schedule_free_is_a_baseline_with_the_constant_shape_only():
    assert [name for name in baseline_names() if name.startswith("sf_adamw")] == ["sf_adamw_constant"]


def test_a_baseline_takes_warm_up_decay_and_clipping_of_the_study():
    one = study(
        stage_space("a", 0.5, warmup=0.04, weight_decay=0.7),
        stage_space("b"),
        stage_defaults=StageDefaults(weight_decay=0.3, clip_norm="off"),
    )
    (stage,) = baseline_schedule(one, "adamw_cosine").stages
    assert (stage.warmup, stage.weight_decay, stage.clip_norm) == (0.04, 0.3, None)


def test_searched_decay_and_clipping_leave_a_baseline_at_the_usual_numbers():
    defaults = StageDefaults(weight_decay=Range(low=0.01, high=1.0), clip_norm=(0.1, 0.5))
    (stage,) = baseline_schedule(study(stage_defaults=defaults), "adamw_cosine").stages
    assert (stage.weight_decay, stage.clip_norm) == (0.1, 1.0)


def test_a_searched_warm_up_gives_a_baseline_its_middle():
    one = study(stage_space(warmup=Range(low=0.01, high=0.03)))
    assert baseline_schedule(one, "adamw_cosine").stages[0].warmup == pytest.approx(0.02)


def test_adam_has_no_decoupled_decay():
    assert baseline_schedule(study(), "adam_linear").stages[0].weight_decay == 0.0


def test_reference_learning_rates_follow_the_width_unless_the_study_names_its_own():
    wide = study(model=ModelSpec(layers=1, width=1024, heads=1, context=64), reference_lr={"lion": 0.5})
    assert reference_lr(wide, "adamw") == pytest.approx(OPTIMIZERS["adamw"].reference_lr / 4)
    assert reference_lr(wide, "muon") == pytest.approx(OPTIMIZERS["muon"].reference_lr / 2)
    assert reference_lr(wide, "sgd_nesterov") == OPTIMIZERS["sgd_nesterov"].reference_lr
    assert reference_lr(wide, "lion") == 0.5


def test_a_schedule_written_by_hand_is_a_baseline(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(HAND_WRITTEN)
    (stage,) = baseline_schedule(study(baselines=(str(file),)), str(file)).stages
    assert (stage.optimizer, stage.lr, stage.lr_shape.kind) == ("lion", 0.001, "linear")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "baselines.0: mine.yaml cannot be used: "),
        ("stages: 3", "stages: 3 must be a list"),
        (HAND_WRITTEN.replace("lion", "lyon"), "lyon is not an optimizer"),
        (HAND_WRITTEN.replace("share: 1.0", "share: 0.9"), "must be multiples of 0.05 that sum to 1"),
        (HAND_WRITTEN.replace("{floor: 0.0}", "{}"), "must have exactly the settings floor"),
    ],
    ids=["missing", "no stages", "unknown name", "off the grid", "incomplete"],
)
def test_schedule_files_are_read_together_with_the_study(tmp_path, content, message):
    (tmp_path / "study.yaml").write_text(SMALL + "baselines: [mine.yaml]\n")
    if content is not None:
        (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(StudyError) as caught:
        load_study(tmp_path / "study.yaml")
    assert message in str(caught.value)
    assert caught.value.problems[0].where.endswith("study.yaml:9:13")


@pytest.mark.parametrize("name", ["adamw", "adamw_cosin", "cosine_adamw", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(StudyError, match="is neither"):
        baseline_schedule(study(), name)
