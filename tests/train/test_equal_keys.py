"""Proves that schedules whose keys are equal train to equal states, bit for bit, whatever they are written like."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.schedule import Regularizer, Schedule, Stage
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.setup import TrainSetup
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, run_whole

_OFF = sorted(kind for kind, info in REGULARIZERS.items() if info.low == 0 and kind != "ema")

_KEPT = sorted({*_OFF} - {"r_drop"})
"""Two with two passes each would leave a segment of two steps less than one."""


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Schedule, Schedule]:
    """A schedule, and one that is written otherwise but trains alike."""
    optimizers = draw(st.lists(st.sampled_from(["adamw", "muon", "lion", "sf_adamw"]), min_size=2, max_size=2))
    blocks = draw(st.lists(st.sampled_from(["embeddings", "attention", "mlp", "norms"]), min_size=1, unique=True))
    kept = draw(st.sets(st.sampled_from(_KEPT), max_size=2))
    cycle = draw(_cycles(blocks)) if len(blocks) > 1 else None
    plain, other = [], []
    for index, optimizer in enumerate(optimizers):
        more = {
            "hand_over": draw(st.sampled_from(["carry", "reset"])) if optimizers[0] == optimizers[1] else "reset"
        }
        stage = make_stage(
            f"s{index}", 0.5, optimizer, trainable="+".join(blocks), cycle=cycle, **(more if index else {})
        )
        regularizers = tuple(Regularizer(kind=kind, strength=1e-3) for kind in sorted(kept))
        plain.append(stage.model_copy(update={"regularizers": regularizers}))
        other.append(draw(_otherwise(plain[-1], is_last=index == 1)))
    return make_schedule(*plain), make_schedule(*other)


def _cycles(blocks: list[str]) -> st.SearchStrategy[BlockCycle | None]:
    divided = ("+".join(blocks[:-1]), blocks[-1])
    mode = st.sampled_from(["turns", "thaw", "freeze"])
    return st.none() | st.builds(BlockCycle, blocks=st.just(divided), tokens=st.sampled_from([96, 250]), mode=mode)


def _otherwise(stage: Stage, *, is_last: bool) -> st.SearchStrategy[Stage]:
    kinds = {regularizer.kind for regularizer in stage.regularizers}
    off = st.sets(st.sampled_from([kind for kind in _OFF if kind not in kinds]), max_size=3)
    ema = st.just(()) if is_last else st.sampled_from([(), (Regularizer(kind="ema", strength=0.9),)])
    blocks = st.permutations(stage.trainable.split("+")).map("+".join)
    first, last = ("", "") if stage.cycle is None else stage.cycle.blocks
    turns = st.permutations(first.split("+")).map(lambda parts: (" + ".join([*parts, parts[0]]), last))

    plain = st.sampled_from([{}, {"batch_tokens": 96}, {"context": 16}])  # those of the setup

    def build(
        off: set[str],
        ema: tuple[Regularizer, ...],
        trainable: str,
        turns: tuple[str, ...],
        plain: dict[str, int],
    ) -> Stage:
        more = (*ema, *(Regularizer(kind=kind, strength=0.0) for kind in sorted(off)))
        cycle = None if stage.cycle is None else stage.cycle.model_copy(update={"blocks": turns})
        shapes = dict.fromkeys(sorted(off), LINEAR) | {"aux_lr_ratio": LINEAR}  # of what does not act
        changes = {"regularizers": (*more, *stage.regularizers), "trainable": trainable, "cycle": cycle}
        return stage.model_copy(update={**changes, "shapes": shapes, **plain})

    return st.builds(build, off, ema, blocks, turns, plain)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs())
def test_equal_keys_mean_equal_states(setup: TrainSetup, tmp_path: Path, pair: tuple[Schedule, Schedule]) -> None:
    plain, other = pair
    assert schedule_path(plain, setup, 3).keys == schedule_path(other, setup, 3).keys
    one, _ = run_whole(setup, plain, tmp_path)
    two, _ = run_whole(setup, other, tmp_path)
    assert differing(one, two) == []
