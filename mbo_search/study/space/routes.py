"""Ways through the stages of a study: which stages are trained, with which optimizers, within the study's limits.

A search chooses stage after stage. `Routes` tells at each of them what can still be chosen so that the rest of the
schedule keeps the limits as well; so nothing has to be drawn again, and what leaves no choice is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.spec.schedule import HandOver
from mbo_search.study.spec.sections.stages import AtMostSpec

NO_STAGE = ""
"""In place of the optimizer before the first stage that is trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a schedule has used of its limits up to a stage; what has no limit is not counted.

    Attributes:
        optimizer: Optimizer of the last stage that was trained; `NO_STAGE` before the first one.
        stages: Stages trained.
        optimizer_changes: Changes of the optimizer.
        resets: Stages that began with a reset.
    """

    optimizer: str = NO_STAGE
    stages: int = 0
    optimizer_changes: int = 0
    resets: int = 0

    @property
    def label(self) -> str:
        """All of it as one value of a parameter, which conditions can name."""
        return f"{self.optimizer} {self.stages} {self.optimizer_changes} {self.resets}"

    @property
    def is_first(self) -> bool:
        """Whether no stage was trained yet."""
        return self.optimizer == NO_STAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOffers:
    """What a stage offers.

    Attributes:
        optimizers: Its optimizers.
        hand_overs: What may happen to the optimizer's state; empty for a stage that is always first.
        is_optional: Whether it may be left out.
    """

    optimizers: tuple[str, ...]
    hand_overs: tuple[HandOver, ...]
    is_optional: bool


class Routes:
    """Ways through some stages that keep limits."""

    def __init__(self, stages: Sequence[StageOffers], limits: AtMostSpec) -> None:
        """Find the ways."""
        self._stages = tuple(stages)
        self._limits = limits
        self._known: dict[tuple[int, Used], bool] = {}
        self._before = self._reached()

    @property
    def exist(self) -> bool:
        """Whether there is any way."""
        return self._can_go_on(0, Used())

    def before(self, index: int) -> tuple[Used, ...]:
        """What may have been used before a stage, in a fixed order."""
        return self._before[index]

    def can_be_left_out(self, index: int, used: Used) -> bool:
        """Whether the stages after one can keep the limits without it."""
        return self._stages[index].is_optional and self._can_go_on(index + 1, used)

    def optimizers(self, index: int, used: Used) -> tuple[str, ...]:
        """The optimizers that a stage may be trained with; none if it has to be left out."""
        found = dict.fromkeys(optimizer for optimizer, _, _ in self._ways(index, used))
        return tuple(found)

    def hand_overs(self, index: int, used: Used, optimizer: str) -> tuple[HandOver, ...]:
        """What may happen to the state when a stage begins with an optimizer; none where nothing can arrive."""
        if used.is_first or not _can_carry(used.optimizer, optimizer):
            return ()
        return tuple(how for name, how, _ in self._ways(index, used) if name == optimizer and how is not None)

    def after(self, used: Used, optimizer: str, hand_over: HandOver | None) -> Used:
        """Count a stage."""
        limits = self._limits
        changes = not used.is_first and optimizer != used.optimizer
        return Used(
            optimizer=optimizer,
            stages=used.stages + (limits.stages is not None),
            optimizer_changes=used.optimizer_changes + (limits.optimizer_changes is not None and changes),
            resets=used.resets + (limits.resets is not None and hand_over == "reset"),
        )

    def _reached(self) -> list[tuple[Used, ...]]:
        found: list[tuple[Used, ...]] = [(Used(),)]
        for index in range(len(self._stages)):
            left_out = (used for used in found[-1] if self.can_be_left_out(index, used))
            trained = (after for used in found[-1] for _, _, after in self._ways(index, used))
            found.append(tuple(dict.fromkeys([*left_out, *trained])))
        return found

    def _ways(self, index: int, used: Used) -> Iterator[tuple[str, HandOver | None, Used]]:
        """The ways to train a stage after which the rest can keep the limits."""
        for optimizer, hand_over in self._offered(index, used):
            after = self.after(used, optimizer, hand_over)
            if self._is_within(after) and self._can_go_on(index + 1, after):
                yield optimizer, hand_over, after

    def _offered(self, index: int, used: Used) -> Iterator[tuple[str, HandOver | None]]:
        stage = self._stages[index]
        for optimizer in stage.optimizers:
            if used.is_first:
                yield optimizer, None
            elif _can_carry(used.optimizer, optimizer):
                yield from ((optimizer, hand_over) for hand_over in stage.hand_overs)
            else:
                yield optimizer, "reset"

    def _is_within(self, used: Used) -> bool:
        counted = (
            (used.stages, self._limits.stages),
            (used.optimizer_changes, self._limits.optimizer_changes),
            (used.resets, self._limits.resets),
        )
        return all(limit is None or count <= limit for count, limit in counted)

    def _can_go_on(self, index: int, used: Used) -> bool:
        """Tell whether the stages from one on can keep the limits."""
        if index == len(self._stages):
            return True
        if (index, used) not in self._known:
            is_trained = any(True for _ in self._ways(index, used))
            self._known[index, used] = is_trained or self.can_be_left_out(index, used)
        return self._known[index, used]


ANY_OPTIMIZER = "any"
"""In place of the optimizer that all stages have, whichever it is."""


def _can_carry(before: str, after: str) -> bool:
    return ANY_OPTIMIZER in (before, after) or can_carry(before, after)


def with_one_optimizer(stage: StageOffers) -> StageOffers:
    """The offers of a stage whose optimizer is that of all stages, whichever it is."""
    return replace(stage, optimizers=(ANY_OPTIMIZER,))
