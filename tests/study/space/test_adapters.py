"""Proves that adapters of a study become settings of its first stage, are searched, and are in the keys of what has
them only; and that what contradicts itself is refused."""

from __future__ import annotations

import pytest

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.errors import StudyError
from mbo_search.export.dashboard.settings import settings_of
from mbo_search.report.style.numbers import stage_facts
from mbo_search.results.records.describe import describe_stage
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.files.schedule_file import load_schedule
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.ablations import ablations_of
from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.segments import cut
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import BUDGET, schedule, stage, stage_space, study
from tests.study.studies import SMALL

ADAPTER = Adapter(rank=4, alpha=8.0)


def model(**lora):
    return PretrainedSpec(pretrained="base", context=64, adapters={"lora": {"rank": [4, 16], **lora}})


def pretrained(*stages, model):
    data = DataSpec(source=("docs",), tokenizer=TokenizerSpec(kind="file", path="base"))
    return study(*stages, model=model, data=data)


def two_stages(**lora):
    stages = stage_space("warm", 0.5), stage_space("cool", "rest", optimizer=["adamw", "lion"])
    return pretrained(*stages, model=model(**lora))


def names(space):
    return {parameter.name for parameter in searched(space.declared)}


def keys(*stages):
    return segment_keys("0" * 64, cut(schedule(*stages), BUDGET))


def test_choices_are_searched_in_the_first_stage_and_alpha_follows_the_rank():
    space = staged_space(two_stages(dropout=[0.0, 0.1], targets=["auto", "attention"]))
    assert {name for name in names(space) if "lora" in name} == {
        "stage/0/lora/rank",
        "stage/0/lora/dropout",
        "stage/0/lora/targets",
    }
    for seed in range(8):
        first, second = propose(space, RandomSuggest(seed)).stages
        assert (first.trainable, second.trainable, second.adapter) == ("lora", "lora", None)
        assert first.adapter.rank in (4, 16)
        assert first.adapter.alpha == 2 * first.adapter.rank


def test_alpha_may_be_chosen_and_numbers_are_fixed():
    space = staged_space(two_stages(rank=8, alpha=[8, 32], targets="q_proj+v_proj"))
    assert {name for name in names(space) if "lora" in name} == {"stage/0/lora/alpha"}
    adapter = propose(space, RandomSuggest(0)).stages[0].adapter
    assert adapter == Adapter(rank=8, alpha=adapter.alpha, targets="q_proj+v_proj")


def test_every_opponent_trains_adapters_too():
    asked = two_stages()
    baseline = baseline_schedule(asked, "adamw_cosine").stages[0]
    assert (baseline.trainable, baseline.adapter) == ("lora", ADAPTER)
    for space in lower_spaces(asked).values():
        first, *later = propose(space, RandomSuggest(1)).stages
        assert first.adapter is not None
        assert {one.trainable for one in (first, *later)} == {"lora"}
        assert all(one.adapter is None for one in later)


def test_a_stage_may_train_other_blocks_and_all_are_all_with_the_adapters():
    asked = pretrained(
        stage_space("a", 0.5, trainable=["lora+norms"]), stage_space("b", trainable=["all"]), model=model()
    )
    assert [one.trainable for one in propose(staged_space(asked), RandomSuggest(0)).stages] == ["lora+norms", "all"]
    blocks = "attention+embeddings+mlp+norms"
    adapted = stage(adapter=ADAPTER, trainable=blocks)
    assert keys(adapted) != keys(stage(adapter=ADAPTER))
    assert keys(adapted.model_copy(update={"trainable": f"{blocks}+lora"})) == keys(stage(adapter=ADAPTER))


def test_the_reference_is_ten_times_that_of_full_fine_tuning():
    full = pretrained(model=PretrainedSpec(pretrained="base", context=64))
    assert reference_lr(two_stages(), "adamw") == pytest.approx(10 * reference_lr(full, "adamw"))


def test_keys_know_adapters_in_the_first_stage_and_nothing_where_there_are_none():
    plain, adapted = stage(), stage(adapter=ADAPTER)
    assert "adapter" not in plain.model_dump(mode="json")
    assert keys(plain)[0] != keys(adapted)[0]
    assert keys(stage(adapter=Adapter(rank=4, alpha=8.0, targets="v_proj + q_proj"))) == keys(
        stage(adapter=Adapter(rank=4, alpha=8.0, targets="q_proj+v_proj"))
    )
    later = stage("b", 0.5, hand_over="carry", adapter=ADAPTER)
    assert keys(stage("a", 0.5), later) == keys(stage("a", 0.5), stage("b", 0.5, hand_over="carry"))


def test_files_read_back_as_they_were_written(tmp_path):
    lora = "{rank: [4, 16], alpha: 16, dropout: 0.05, targets: [auto, mlp]}"
    text = SMALL.replace(
        "{layers: 2, width: 64, heads: 2, context: 64}",
        f"{{pretrained: base, context: 64, adapters: {{lora: {lora}}}}}",
    )
    read = parse_study(text, "small.yaml")
    assert read.model.lora.alpha == (16.0,)
    assert parse_study(dump_study(read), "again.yaml") == read
    one = schedule(stage(adapter=ADAPTER))
    assert Schedule.model_validate_json(one.model_dump_json()) == one
    (tmp_path / "two.yaml").write_text(
        schedule(stage("a", 0.5), stage("b", 0.5, hand_over="carry", adapter=ADAPTER)).model_dump_json()
    )
    with pytest.raises(StudyError, match="first stage only"):
        load_schedule(tmp_path / "two.yaml")


@pytest.mark.parametrize(
    ("lora", "key"),
    [
        ("rank: 0", "model.adapters.lora.rank"),
        ("rank: [4, 4]", "model.adapters.lora.rank"),
        ("rank: 4, alpha: 0", "model.adapters.lora.alpha"),
        ("rank: 4, dropout: 1.0", "model.adapters.lora.dropout"),
        ("alpha: 4", "model.adapters.lora.rank"),
    ],
)
def test_what_means_nothing_is_refused(lora, key):
    text = SMALL.replace(
        "{layers: 2, width: 64, heads: 2, context: 64}",
        f"{{pretrained: base, context: 64, adapters: {{lora: {{{lora}}}}}}}",
    )
    with pytest.raises(StudyError) as refused:
        parse_study(text, "small.yaml")
    assert [problem.key for problem in refused.value.problems if problem.key.startswith(key)]


def test_blocks_of_adapters_need_adapters():
    with pytest.raises(StudyError, match=r"needs model\.adapters"):
        study(stage_space(trainable=["lora"]))


def test_they_are_said_to_people():
    one = stage(adapter=ADAPTER, trainable="lora")
    assert "lora/rank=4 lora/alpha=8" in describe_stage(one)
    assert stage_facts(one, {})["trainable"] == "lora (rank 4, alpha 8)"
    assert settings_of(schedule(one))["a/lora/targets"] == "auto"


def test_attribution_and_points_near_keep_them():
    asked = two_stages()
    winner = propose(staged_space(asked), RandomSuggest(2))
    baseline = baseline_schedule(asked, "adamw_cosine")
    space = staged_space(asked)
    for ablation in ablations_of(winner, baseline, space.reference_lrs, space.budget).found:
        assert ablation.schedule.stages[0].adapter == winner.stages[0].adapter
    near = points_near(space, winner)[0].schedule
    assert near.stages[0].adapter == winner.stages[0].adapter
