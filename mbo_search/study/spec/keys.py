"""Content addresses of nodes: equal keys mean equal weights, bit for bit.

`key_0` names everything that all schedules of a study share; the key after a segment follows from the key before
it and from all that the segment's steps depend on. Names of stages, inactive settings and later stages are left
out, so that schedules meet wherever they train alike; a segment's stage comes in one form for all that acts alike.

A moving average of the weights is in the key where it is measured at the schedule's end. It moves no weight, but
the states after these segments hold it, and it cannot be had without taking the steps again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from mbo_search.extensions import Registry
from mbo_search.study.catalogue.entries import OptimizerDefinition, RegularizerDefinition
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.dimensions.table import dimensions_material
from mbo_search.study.spec.foreign.custom import key_material
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.segments import Segment

Json = Mapping[str, object]


def root_key(*, model: Json, data_fingerprint: str, seed: int, numerics: Json) -> str:
    """Key of the untrained model.

    Args:
        model: The model's description.
        data_fingerprint: Fingerprint of the token files, tokenizer included.
        seed: Seed of initialisation, data order and noise.
        numerics: Whatever may change the last bit: dtype, threads, CPU capability, library versions.

    Returns:
        64 hexadecimal digits.
    """
    return _hash({"model": model, "data": data_fingerprint, "seed": seed, "numerics": numerics})


def segment_keys(root: str, segments: Sequence[Segment]) -> tuple[str, ...]:
    """Compute the key after each segment of a schedule.

    Args:
        root: The key of the untrained model.
        segments: The schedule's segments in order.

    Returns:
        One key a segment; two schedules have equal keys up to the last segment that they share.
    """
    keys: list[str] = []
    for segment in segments:
        keys.append(_hash({"parent": keys[-1] if keys else root, "segment": _material(segment)}))
    return tuple(keys)


def whole_key(key: str, segments: Sequence[Segment]) -> str:
    """Key of a schedule that is trained as a whole: it is evaluated at its own stage ends, and only there.

    Args:
        key: The key after its last segment.
        segments: All of its segments.
    """
    return _hash({"whole": key, "ends": [segment.last_step for segment in segments if segment.ends_stage]})


def _material(segment: Segment) -> Json:
    stage, info = segment.stage, OPTIMIZERS[segment.stage.optimizer]
    return {
        "optimizer": _versioned(stage.optimizer, OPTIMIZERS),
        "hparams": {name: float(value).hex() for name, value in sorted(stage.hparams.items())},
        "lrs": _lr_digest(segment),
        "num_steps": segment.num_steps,
        "batch_tokens": segment.batch_tokens,
        "weight_decay": stage.weight_decay.hex() if info.decoupled_decay else None,
        "budget_steps": segment.clock.budget_steps if info.clocked_by_budget else None,
        "clip_norm": stage.clip_norm.hex() if stage.clip_norm is not None else None,
        "regularizers": sorted((_versioned(r.kind, REGULARIZERS), r.strength.hex()) for r in stage.regularizers),
        "trainable": stage.trainable,
        "hand_over": segment.hand_over,
        **_rates(stage),
        **_adapter(stage),
        **({"custom": key_material(stage.custom)} if stage.custom else {}),
        **dimensions_material(segment),
        **({"mean_shares": _digest(segment.mean_shares)} if segment.mean_shares else {}),
        **({"ends_stage": True} if segment.ends_stage and _acts_at_stage_end(stage) else {}),
    }


def _acts_at_stage_end(stage: Stage) -> bool:
    """Whether something changes the weights at the end of the stage, so that a longer one trains otherwise."""
    if averages_weights(stage.lr_shape.kind):
        return True
    infos = (REGULARIZERS.get(regularizer.kind) for regularizer in stage.regularizers)
    return any(info is not None and info.acts_at_stage_end for info in infos)


def _rates(stage: Stage) -> Json:
    """Learning rates and weight decays of parts of the model; nothing where they are the stage's."""
    lr_ratios, weight_decays = _hex(stage.lr_ratios), _hex(stage.weight_decays)
    return {
        **({} if stage.layer_decay is None else {"layer_decay": stage.layer_decay.hex()}),
        **({"lr_ratios": lr_ratios} if lr_ratios else {}),
        **({"weight_decays": weight_decays} if weight_decays else {}),
    }


def _adapter(stage: Stage) -> Json:
    """What is put beside the weights when the first stage begins; nothing in all others."""
    adapter = stage.adapter
    if adapter is None:
        return {}
    numbers = {"alpha": adapter.alpha.hex(), "dropout": adapter.dropout.hex()}
    return {"adapter": {"rank": adapter.rank, "targets": adapter.targets, **numbers}}


def _hex(numbers: Mapping[str, float]) -> dict[str, str]:
    return {name: number.hex() for name, number in numbers.items()}


def _versioned(name: str, known: Registry[OptimizerDefinition] | Registry[RegularizerDefinition]) -> str:
    """Name with its version for what is not built in; the numerics hold a version of all that is."""
    found = None if name in known.built_in else known.get(name)
    return name if found is None else f"{name}@{found.version}"


def _lr_digest(segment: Segment) -> str:
    """Digest of the exact learning rate of every step: shapes that agree on a span share it."""
    return _digest(map(segment.lr, range(segment.first_step, segment.last_step)))


def _digest(numbers: Iterable[float]) -> str:
    return hashlib.sha256(" ".join(number.hex() for number in numbers).encode()).hexdigest()


def _hash(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
