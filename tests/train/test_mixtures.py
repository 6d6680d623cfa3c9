"""Proves that stages read the sources in the shares that were asked for, wherever training is cut: interrupted and
resumed at every boundary and within stages, shared with other schedules or not, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.segments import cut
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.reading import epochs_by_source, tokens_by_source
from mbo_search.train.setup.eval_text import training_stream
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node
from tests.train.builder import (
    LINEAR,
    differing,
    make_schedule,
    make_stage,
    read_state,
    run_whole,
    tiny_setup,
    write_corpus,
)

SEED = 3
BLOCK = 16


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Twenty documents of one source and forty of another."""
    root = tmp_path_factory.mktemp("mixed")
    folder = write_corpus(root / "texts")
    spec = DataSpec(
        source={"few": str(folder / "0[01]*.txt"), "many": str(folder / "0[2-5]*.txt")},
        tokenizer=TokenizerSpec(kind="bytes"),
        dedup="none",
        validation_share=0.15,
    )
    return prepare(spec, root / "cache")


@pytest.fixture(scope="module")
def setup(data: PreparedData) -> TrainSetup:
    return tiny_setup(data, steps_per_segment=1, branch_points=(4,))


def winding() -> Schedule:
    """From the text's own shares into a mixture, on in the same one, into another, and back."""
    return make_schedule(
        make_stage("a", 0.3, "adamw"),
        make_stage("b", 0.2, "adamw", mixture={"few": 7.0, "many": 3.0}, hand_over="carry"),
        make_stage("c", 0.2, "lion", mixture={"few": 0.7, "many": 0.3}, hand_over="reset"),
        make_stage("d", 0.1, "lion", mixture={"many": 1.0}, hand_over="carry"),
        make_stage("e", 0.2, "lion", hand_over="carry", lr_shape=LINEAR),
    )


def in_order() -> Schedule:
    """By length in a mixture, shuffled in the same one, and by length from the other end in the text's shares."""
    weights, longest = {"few": 1.0, "many": 2.0}, {"by": "length", "ascending": False}
    return make_schedule(
        make_stage("a", 0.4, "adamw", mixture=weights, order={"by": "length"}),
        make_stage("b", 0.2, "adamw", mixture=weights, hand_over="carry"),
        make_stage("c", 0.4, "adamw", order=longest, hand_over="carry", lr_shape=LINEAR),
    )


def without_order() -> Schedule:
    stages = [stage.model_copy(update={"order": None}) for stage in in_order().stages]
    return make_schedule(*stages)


@pytest.mark.parametrize("schedule", [winding(), in_order()], ids=["mixtures", "orders"])
@pytest.mark.parametrize("pieces", [[0, 1, 1, 1, 2, 2, 2, 1], [3, 2, 2, 1, 2]])
def test_interrupted_and_resumed_equals_uninterrupted(
    setup: TrainSetup, tmp_path: Path, pieces: list[int], schedule: Schedule
) -> None:
    whole, path = run_whole(setup, schedule, tmp_path / "whole", seed=SEED)
    for number_of_steps in pieces:
        polls = iter([*[False] * number_of_steps, True])
        runner = TorchStageRunner(setup, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls))
    assert folder is not None, report.message
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


def places_read(setup: TrainSetup, data: PreparedData, schedule: Schedule, tmp_path: Path) -> list[list[int]]:
    """Blocks of the text that each step of a schedule trains on, as the trainer asks for them."""
    runner = TorchStageRunner(setup, tmp_path)
    stream = training_stream(data, setup, SEED)
    found: list[list[int]] = []
    original = type(stream).batch

    def batch(self, position, num_sequences, context):
        found.append((self.places(position, num_sequences * context)[::BLOCK] // BLOCK).tolist())
        return original(self, position, num_sequences, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(stream), "batch", batch)
        folder, report = runner.run(None, cut(schedule, setup.budget()), SEED, lambda: False)
    assert folder is not None, report.message
    return found


def test_every_stage_reads_the_shares_that_it_asks_for(
    setup: TrainSetup, data: PreparedData, tmp_path: Path
) -> None:
    steps = places_read(setup, data, winding(), tmp_path)
    ends = np.cumsum([run.num_tokens for run in data.metadata.runs])
    few = [[block * BLOCK < ends[0] for block in blocks] for blocks in steps]
    natural = [block for blocks in steps[:3] for block in blocks]
    assert natural == (training_stream(data, setup, SEED).places(0, 18 * BLOCK)[::BLOCK] // BLOCK).tolist()
    mixed = [own for step in few[3:7] for own in step]
    for number in range(1, len(mixed) + 1):  # two stages of the same shares are one
        assert abs(sum(mixed[:number]) - 0.7 * number) < 1
    assert not any(few[7])
    tokens = training_stream(data, setup, SEED).source_tokens()
    share = tokens["few"] / sum(tokens.values())
    assert abs(sum(map(sum, few[8:])) - share * 12) < 1
    segments = cut(winding(), setup.budget())
    read = tokens_by_source(segments, training_stream(data, setup, SEED))
    assert read == {"few": BLOCK * sum(map(sum, few)), "many": BLOCK * sum(not own for step in few for own in step)}
    epochs = epochs_by_source(segments, training_stream(data, setup, SEED))
    assert epochs == {name: read[name] / tokens[name] for name in tokens}
    pairs = zip([own for step in few for own in step], [block for step in steps for block in step], strict=True)
    blocks = [block for is_few, block in pairs if is_few]
    num_few = tokens["few"] // BLOCK
    assert len(set(blocks[:num_few])) == min(num_few, len(blocks))  # none twice before all once


def test_a_stage_reads_the_same_blocks_by_the_length_of_their_documents(
    setup: TrainSetup, data: PreparedData, tmp_path: Path
) -> None:
    steps = places_read(setup, data, in_order(), tmp_path)
    plain = places_read(setup, data, without_order(), tmp_path / "plain")
    lengths = np.diff(data.ends("train"), prepend=0)
    by_token = np.repeat(lengths, lengths)
    scores = by_token[: len(by_token) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
    for first, last, sign in ((0, 4, 1), (6, 10, -1)):
        blocks = [block for step in steps[first:last] for block in step]
        assert sorted(blocks) == sorted(block for step in plain[first:last] for block in step)
        own = [(blocks[:index].count(block), sign * scores[block]) for index, block in enumerate(blocks)]
        assert own == sorted(own)
    assert steps[4:6] == plain[4:6]  # what follows a stage does not depend on its order
    assert steps[:4] != plain[:4]


def test_a_mixture_after_a_shared_trunk_equals_unshared_training(setup: TrainSetup, tmp_path: Path) -> None:
    """Several mixtures continue one trunk, which knows nothing of them."""

    def cooled(**settings: object) -> Schedule:
        trunk = make_stage("trunk", 0.6, "adamw")
        return make_schedule(
            trunk, make_stage("cool", 0.4, "adamw", hand_over="carry", lr_shape=LINEAR, **settings)
        )

    ends = []
    for weights in (None, {"few": 1.0}, {"few": 0.5, "many": 0.5}):
        path = schedule_path(cooled(mixture=weights), setup, SEED)
        runner = TorchStageRunner(setup, tmp_path / "scratch")
        trunk, report = runner.run(None, path.segments[:6], SEED, lambda: False)
        assert trunk is not None, report.message
        node = Node(key=path.keys[5], path=trunk)
        folder, report = TorchStageRunner(setup, tmp_path / "other").run(
            node, path.segments[6:], SEED, lambda: False
        )
        assert folder is not None, report.message
        alone, _ = run_whole(setup, cooled(mixture=weights), tmp_path / f"alone-{len(ends)}", seed=SEED)
        del alone["curve"]
        assert differing(read_state(folder), alone) == []
        ends.append(alone["weights:" + next(name for name in alone if name.startswith("weights:"))[8:]])
    assert not any((one == other).all() for one, other in [(ends[0], ends[1]), (ends[1], ends[2])])


def test_a_state_says_where_a_mixture_began_only_where_there_was_one(setup: TrainSetup, tmp_path: Path) -> None:
    plain, _ = run_whole(setup, make_schedule(make_stage("a", 1.0, "adamw")), tmp_path / "a", seed=SEED)
    mixed, _ = run_whole(
        setup, make_schedule(make_stage("a", 1.0, "adamw", mixture={"few": 1.0})), tmp_path / "b", seed=SEED
    )
    assert "reading" not in plain["state"]
    assert mixed["state"]["reading"] == {"first_tokens": 0, "begun": {"few": 0, "many": 0}, "weights": {"few": 1.0}}
