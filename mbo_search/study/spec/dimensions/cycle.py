"""Blocks in turn: which blocks of parameters learn at a step of a stage, and which rest.

At every step it is a pure function of the tokens since the stage began. A block that rests keeps its weights, its
part of the optimizer's state and its step count, as if the steps in between had not been.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Literal

from pydantic import Field, StrictInt

from mbo_search.study.spec.base import Description
from mbo_search.study.spec.dimensions.block_sets import BlockSet, described, names_cell
from mbo_search.units import format_count

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import Stage
    from mbo_search.study.spec.segments import Segment

CycleMode = Literal["turns", "thaw", "freeze"]


class BlockCycle(Description):
    """Blocks that a stage does not train all the time. What no block names learns at every step.

    Attributes:
        blocks: Each is a block, or several joined by `+`, as in `trainable`.
        tokens: Length of a turn.
        mode: `turns`: one block after another learns, and the first again after the last. `thaw`: the first learns
            from the start, and with every turn one more joins. `freeze`: all learn at first, and with every turn
            one more rests, but for the last, which learns to the end.
    """

    blocks: tuple[str, ...] = Field(min_length=2)
    tokens: StrictInt = Field(gt=0)
    mode: CycleMode = "turns"

    def learning(self, tokens_done: int) -> tuple[int, ...]:
        """Positions of the blocks that learn at a step.

        Args:
            tokens_done: Tokens since the stage began, before the step.

        >>> turns = BlockCycle(blocks=("attention", "mlp", "embeddings"), tokens=100)
        >>> [turns.learning(tokens) for tokens in (0, 99, 100, 250, 300)]
        [(0,), (0,), (1,), (2,), (0,)]
        >>> thaw = turns.model_copy(update={"mode": "thaw"})
        >>> [thaw.learning(tokens) for tokens in (0, 100, 900)]
        [(0,), (0, 1), (0, 1, 2)]
        """
        turn, last = tokens_done // self.tokens, len(self.blocks) - 1
        if self.mode == "turns":
            return (turn % len(self.blocks),)
        reached = min(turn, last)
        return tuple(range(reached + 1) if self.mode == "thaw" else range(reached, last + 1))


class CycleDimension:
    """The row of `cycle` in the table."""

    name = "cycle"

    def in_force(self, stage: Stage) -> BlockCycle | None:
        """Return it with each block in order of its parts."""
        cycle = stage.cycle
        if cycle is None:
            return None
        return cycle.model_copy(update={"blocks": tuple(map(in_order, cycle.blocks))})

    def material(self, segment: Segment) -> list[dict[str, object]] | None:
        """Return what rests for how many steps; None if all that the stage trains learns at every one."""
        cycle = segment.stage.cycle
        if cycle is None:
            return None
        resting = (
            _resting(segment.stage.trainable, cycle.blocks, segment.learning_blocks(step) or ())
            for step in range(segment.first_step, segment.last_step)
        )
        runs = [(rests, len(list(same))) for rests, same in itertools.groupby(resting)]
        if not any(rests for rests, _ in runs):
            return None
        return [{"rests": list(rests), "num_steps": num_steps} for rests, num_steps in runs]

    def words(self, stage: Stage) -> dict[str, str]:
        """Return the blocks in their order, and how long a turn is."""
        cycle = stage.cycle
        if cycle is None:
            return {}
        how = "" if cycle.mode == "turns" else f"{cycle.mode} "
        return {"cycle": f"{how}{' > '.join(cycle.blocks)} every {format_count(cycle.tokens)} tokens"}


def in_order(block: str) -> str:
    """Sort the parts of a block, each once.

    >>> in_order("norms + mlp+norms")
    'mlp+norms'
    """
    return "+".join(sorted({part.strip() for part in block.split("+")}))


@functools.cache
def _resting(trainable: str, blocks: tuple[str, ...], learning: tuple[int, ...]) -> BlockSet:
    """What of the parameters that a stage trains is named by blocks of which none learns."""
    learn = [blocks[index] for index in learning]

    def rests(kind: str, layer: int | None) -> bool:
        def named(expression: str) -> bool:
            return names_cell(expression, kind, layer)

        return named(trainable) and any(map(named, blocks)) and not any(map(named, learn))

    return described(rests, (trainable, *blocks))
