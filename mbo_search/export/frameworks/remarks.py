"""What scripts for other trainers cannot express of a schedule: said where it is asked for, and in the script."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from types import MappingProxyType

from mbo_search.errors import Problem, UserError
from mbo_search.export.frameworks.stages_script import CARRIED
from mbo_search.export.request import ExportRequest
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.dimensions.table import dimensions_set
from mbo_search.study.spec.fresh_models import OwnModule
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.model import ModelSpec, SizedModel

_OPTIMIZERS = frozenset((*CARRIED, "soap", "ademamix", "sf_adamw"))

_KEPT = frozenset(("l1", "l2", "l2_sp", "clip_value", "label_smoothing", "z_loss"))
"""Regularizers that act exactly as in the search."""

_OTHER_OPTIMIZERS = MappingProxyType(
    {
        "muon": "Muon of torch computes in bfloat16, where the search computes in float32 on CPUs.",
        "soap": "SOAP is that of pytorch_optimizer; the search keeps its bases in another order in memory.",
        "ademamix": "AdEMAMix is that of pytorch_optimizer, whose warm-ups count the steps since it was built.",
    }
)

_OTHER_REGULARIZERS = MappingProxyType(
    {
        "gradient_noise": "The noise on the gradients is drawn from other random numbers than in the search.",
        "ema": "The moving average of the weights, which is only measured, is left out.",
        "ema_fold": "The moving average of the weights is left out: stages end with their last weights instead.",
    }
)


def refuse_inexpressible(request: ExportRequest, stages: Sequence[Stage], title: str) -> None:
    """Refuse a schedule of which a script would train something else.

    Raises:
        UserError: With every reason.
    """
    setup = request.run.setup()
    reasons = []
    if setup.packing is not None:
        reasons.append(("data", "is a task; such a script reads running text only"))
    if isinstance(setup.own_model, OwnModule):
        reasons.append(("model.code", "is a module of your own, which no class of transformers loads"))
    if getattr(setup.own_model, "objective", "next_token") == "masked":
        reasons.append(("model", "predicts masked tokens; such a script trains models of next tokens only"))
    if stages[0].adapter is not None:
        reasons.append(("model.adapters", "are beside the weights; such a script trains the weights"))
    strange = sorted({stage.optimizer for stage in stages} - _OPTIMIZERS)
    reasons += [("optimizer", f"{name} has no code that is written out") for name in strange]
    kinds = dict.fromkeys(one.kind for stage in stages for one in stage.regularizers)
    rule = "takes two passes over the tokens of a step, where such a script takes one"
    reasons += [("regularizers", f"{kind} {rule}") for kind in kinds if _passes(kind) > 1]
    further = dict.fromkeys(name for stage in stages for name in dimensions_set(stage))
    rule = "is a setting of a stage that such a script does not know"
    reasons += [(f"stages.*.{name}", rule) for name in further]
    means = dict.fromkeys(stage.lr_shape.kind for stage in stages if averages_weights(stage.lr_shape.kind))
    rule = "ends with a mean of weights, which such a script does not keep"
    reasons += [("stages.*.lr_shape", f"{kind} {rule}") for kind in means]
    if reasons:
        hint = "export it as yaml, which `mbo-search train` reads"
        raise UserError([Problem(key=key, rule=f"{rule} ({title})", hint=hint) for key, rule in reasons])


def _passes(kind: str) -> int:
    info = REGULARIZERS.get(kind)
    return 1 if info is None else info.passes


def remarks_on(stages: Sequence[Stage], model: SizedModel, val_loss: float) -> tuple[str, ...]:
    """Say what differs from the search, a sentence each."""
    return tuple(dict.fromkeys((*_on_optimizers(stages), *_on_regularizers(stages, model), _rounding(val_loss))))


def _on_optimizers(stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        if stage.optimizer in _OTHER_OPTIMIZERS:
            yield _OTHER_OPTIMIZERS[stage.optimizer]
    for before, after in itertools.pairwise(stages):
        pair = {before.optimizer, after.optimizer}
        if after.hand_over == "carry" and len(pair) > 1 and not pair <= set(CARRIED):
            yield (
                f"Stage {after.name} begins with an empty optimizer state where {before.optimizer} and "
                f"{after.optimizer} are concerned; the search carried what could be carried."
            )
        if pair == {"sf_adamw"} and before.hparams != after.hparams:
            yield f"Stage {after.name} keeps the weights that learn, where the search keeps their average in place."


def _on_regularizers(stages: Sequence[Stage], model: SizedModel) -> Iterator[str]:
    for kind in dict.fromkeys(one.kind for stage in stages for one in stage.regularizers):
        if kind == "dropout":
            yield "Dropout draws other random numbers than in the search."
            if isinstance(model, ModelSpec):
                yield (
                    "Llama of transformers knows dropout of attention weights alone; the search also drops entries "
                    "of the embeddings and of each block's output."
                )
        elif kind in _OTHER_REGULARIZERS:
            yield _OTHER_REGULARIZERS[kind]
        elif kind not in _KEPT:
            yield f"The regularizer {kind} is an extension, whose code is not written out: it is left out."


def _rounding(val_loss: float) -> str:
    return (
        f"The same sums are rounded in another order, so expect a loss near {val_loss:.4f}, not the same digits; "
        "`mbo-search replay` of the exported yaml gives them."
    )
