"""What a part is worth is read off paired runs, adjusted for all parts, and never off the seeds that survived."""

from __future__ import annotations

import pytest

from mbo_search.results.evidence.attribution import AttributionContext, attribute
from mbo_search.results.evidence.champions import champions
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.results.statistics.paired import holm
from mbo_search.study.space.ablations import ablations_of
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps

BUDGET = BudgetSteps(num_segments=10, steps_per_segment=20, batch_tokens=8)
LINEAR = LrShape(kind="linear", hparams={"floor": 0.0})
REFERENCES = {"adamw": 0.002, "muon": 0.02}
WINNER = Schedule(
    stages=(
        Stage(name="early", share=0.6, optimizer="muon", lr=0.03),
        Stage(name="late", share=0.4, optimizer="adamw", lr=0.002, lr_shape=LINEAR, hand_over="carry"),
    )
)
BASELINE = Schedule(stages=(Stage(name="one", share=1.0, optimizer="adamw", lr=0.002, lr_shape=LINEAR),))
SWAPS = {swap.label: swap.schedule for swap in ablations_of(WINNER, BASELINE, REFERENCES, BUDGET).found}
SEARCH = ("baseline", BASELINE, 3.3, 0), ("staged", WINNER, 3.0, 0)
WINS = tuple(("confirm", WINNER, 3.0 + 0.01 * seed, seed) for seed in range(1, 7))


def put_back(label, worth):
    schedule = SWAPS[label]
    return tuple(
        ("attribution", schedule, 3.0 + 0.01 * seed + worth + 0.001 * (seed % 2), seed) for seed in range(1, 7)
    )


def attributed(*runs):
    records = [
        TrialRecord(
            trial=trial,
            arm=arm,
            schedule=schedule,
            seed=seed,
            state="complete" if loss is not None else "failed",
            val_loss=loss,
        )
        for trial, (arm, schedule, loss, seed) in enumerate(runs)
    ]
    return attribution_of(records)


def attribution_of(records, *, is_asked=False):
    context = AttributionContext(reference_lrs=REFERENCES, budget=BUDGET, is_asked=is_asked)
    return attribute(records, champions(group_by_schedule(records)), context)


def test_without_such_runs_nothing_is_said():
    assert attributed(*SEARCH, *WINS) is None


def test_a_champion_that_does_as_the_baseline_is_said_to_where_the_study_asks():
    same = Schedule(
        stages=(
            Stage(name="a", share=0.6, optimizer="adamw", lr=0.002),
            Stage(name="b", share=0.4, optimizer="adamw", lr=0.002, lr_shape=LINEAR, hand_over="carry"),
        )
    )
    records = [
        TrialRecord(trial=trial, arm=arm, schedule=schedule, seed=seed, state="complete", val_loss=3.0)
        for trial, (arm, schedule, seed) in enumerate(
            [("baseline", BASELINE, 0), ("staged", same, 0), ("confirm", same, 1)]
        )
    ]
    assert attribution_of(records) is None
    found = attribution_of(records, is_asked=True)
    assert found.rows == ()
    assert "stage 2 optimizer" in found.unchanged


def test_a_part_is_worth_what_its_loss_costs():
    found = attributed(*SEARCH, *WINS, *put_back("stage 1 optimizer", 0.05), *put_back("stage 1 lr", 0.0))
    rows = {(row.stage, row.part): row for row in found.rows}
    optimizer = rows[0, "optimizer"]
    assert optimizer.test.mean_nats == pytest.approx(0.0505)
    assert optimizer.change == "muon 0.03 -> adamw 0.002"
    assert optimizer.sentence.startswith("stage 1's optimizer is worth 0.0505 +- 0.0006 nats (adjusted p = ")
    assert (found.trial, found.baseline_trial) == (1, 0)


def test_parts_that_train_alike_share_their_runs_and_count_once_in_the_family():
    found = attributed(*SEARCH, *WINS, *put_back("stage 1 optimizer", 0.05), *put_back("stage 1 lr", 0.002))
    rows = {row.part: row for row in found.rows if row.stage == 0}
    assert rows["stage"].trial == rows["optimizer"].trial
    adjusted = holm([rows["optimizer"].test.p_value, rows["lr"].test.p_value])
    assert (rows["optimizer"].adjusted_p, rows["lr"].adjusted_p) == adjusted
    assert rows["stage"].adjusted_p == rows["optimizer"].adjusted_p


def test_what_the_baseline_shares_is_listed_and_not_run():
    found = attributed(*SEARCH, *WINS, *put_back("stage 1 optimizer", 0.05))
    assert "stage 2 lr" in found.unchanged
    assert "stage 1 hand_over" not in found.unchanged
    assert not any(row.stage == 1 for row in found.rows)


def test_a_part_without_which_training_fails_has_no_number():
    *complete, last = put_back("stage 1 optimizer", 0.05)
    found = attributed(*SEARCH, *WINS, *complete, (*last[:2], None, last[3]))
    row = next(row for row in found.rows if row.part == "optimizer")
    assert (row.test, row.adjusted_p, row.num_failed) == (None, None, 1)
    assert row.sentence == "without stage 1's optimizer training failed on 1 seed"


def test_one_seed_gives_a_number_without_an_interval():
    found = attributed(*SEARCH, *WINS[:1], *put_back("stage 1 lr", 0.01)[:1])
    assert found.rows[0].sentence == "stage 1's learning rate is worth 0.0110 nats on one seed"
