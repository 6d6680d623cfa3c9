"""Settings of a stage that act while it trains: one form for all stages that train alike.

Node keys and hand-overs compare stages, and states hold them. A regularizer of strength 0, blocks listed in another
order, or a moving average that nobody reads would make the same training look like another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.dimensions.table import dimensions_in_force
from mbo_search.study.spec.schedule import BLOCK_KINDS, LORA, BlockGroup, Regularizer, Stage, make_groups

_LAYERS = re.compile(r"layers:(\d{1,9})-(\d{1,9})")


def stages_in_force(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Put the stages of a schedule into the form that all schedules share which train alike.

    A moving average never moves a weight; it is measured only at the end of a schedule. So it acts in the last
    stage and in those right before it that keep the same decay, whose average continues, and nowhere else.

    Args:
        stages: The stages in order.

    Returns:
        As many stages; they train to the same weights, bit for bit.
    """
    kinds = BLOCK_KINDS if stages[0].adapter is None else (*BLOCK_KINDS, LORA)
    return tuple(
        stage.model_copy(
            update={
                "regularizers": _acting(stage.regularizers, stages[index:]),
                "trainable": trainable_in_force(stage.trainable, kinds),
                "layer_decay": layer_decay_in_force(stage),
                "groups": groups_in_force(stage),
                "adapter": None if index or stage.adapter is None else _targets_in_order(stage.adapter),
                **dimensions_in_force(stage),
            }
        )
        for index, stage in enumerate(stages)
    )


def trainable_in_force(expression: str, kinds: Sequence[str] = BLOCK_KINDS) -> str:
    """One form for expressions that name the same blocks.

    Args:
        expression: `all`, or blocks joined by `+`.
        kinds: The kinds of blocks that the model has; all of them together are `all`.

    Returns:
        `all`, or the blocks in order of their names, each once, ranges of layers that touch or overlap joined.

    >>> trainable_in_force("norms + mlp+layers:2-3+layers:0-1")
    'layers:0-3+mlp+norms'
    >>> trainable_in_force("mlp+norms+embeddings+attention")
    'all'
    """
    blocks = {block.strip() for block in expression.split("+")}
    if "all" in blocks or blocks.issuperset(kinds):
        return "all"
    ranges = {(int(match[1]), int(match[2])) for block in blocks if (match := _LAYERS.fullmatch(block))}
    others = {block for block in blocks if not _LAYERS.fullmatch(block)}
    return "+".join(sorted({*others, *(f"layers:{first}-{last}" for first, last in _joined(ranges))}))


def _targets_in_order(adapter: Adapter) -> Adapter:
    names = sorted({name.strip() for name in adapter.targets.split("+")})
    return adapter.model_copy(update={"targets": "auto" if "auto" in names else "+".join(names)})


def layer_decay_in_force(stage: Stage) -> float | None:
    """Return the decay of the learning rate from layer to layer; None where it changes nothing."""
    return None if stage.layer_decay == 1 else stage.layer_decay


def groups_in_force(stage: Stage) -> dict[str, BlockGroup] | None:
    """Return the groups of a stage without what changes nothing: frozen blocks, and settings of the stage's own."""
    learns = {kind for kind in stage.groups or {} if _may_learn(kind, stage.trainable)}
    decays = learns - {"norms"} if _decays(stage) else set()
    return make_groups(
        {kind: ratio for kind, ratio in stage.lr_ratios.items() if kind in learns and ratio != 1},
        {
            kind: decay
            for kind, decay in stage.weight_decays.items()
            if kind in decays and decay != stage.weight_decay
        },
    )


def _may_learn(kind: str, trainable: str) -> bool:
    """Whether a stage may train blocks of a kind; ranges of layers hold some of each."""
    blocks = trainable_in_force(trainable).split("+")
    return "all" in blocks or kind in blocks or any(_LAYERS.fullmatch(block) for block in blocks)


def _decays(stage: Stage) -> bool:
    info = OPTIMIZERS.get(stage.optimizer)
    return info is None or info.decoupled_decay


def _acting(regularizers: Iterable[Regularizer], stages: Sequence[Stage]) -> tuple[Regularizer, ...]:
    """Those that do anything, in order of their names; `stages` are the one in question and all later ones."""
    return tuple(sorted((r for r in regularizers if _acts(r, stages)), key=lambda r: r.kind))


def _acts(regularizer: Regularizer, stages: Sequence[Stage]) -> bool:
    """Whether it does anything; what a stranger's record calls by an unknown name may do anything."""
    info = REGULARIZERS.get(regularizer.kind)
    if info is None:
        return True
    if info.off_at_zero and regularizer.strength == 0:
        return False
    return info.moves_weights or all(stage.strength(regularizer.kind) == regularizer.strength for stage in stages)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of whole numbers in order, without overlaps and gaps of zero."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
