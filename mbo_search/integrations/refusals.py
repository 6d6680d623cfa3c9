"""What a strategy asks for that a foreign model or loop cannot do, said before the first token is trained."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from mbo_search.errors import Problem, StudyError
from mbo_search.extensions import resolve
from mbo_search.model.blocks import block_of, layer_of, trainable_names
from mbo_search.model.language_model import dropouts_of
from mbo_search.optim.regularizers import RegularizerHooks
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.train.foreign.request import SpanRequest, SpanStrategy

_NAMES_HINT = (
    "name the list of layers `layers`, `h` or `blocks`, as models of transformers do (`blocks.0.attn.weight`), "
    "or leave the setting out of the study"
)


def check_request(request: SpanRequest, learning: nn.Module, model: nn.Module, *, loss_is_ours: bool) -> None:
    """Refuse a request that cannot be trained as it is written.

    Args:
        request: What is asked for.
        learning: The parameters of the model that may learn.
        model: The model.
        loss_is_ours: Whether the loop computes its loss through `TorchSpan.loss`, which knows all its terms.

    Raises:
        StudyError: With everything that cannot be done.
    """
    found = [
        problem
        for part in request.parts
        for problem in (*_blocks(part.strategy, learning), *_regularizers(part.strategy, model, loss_is_ours))
    ]
    if found:
        raise StudyError(list(dict.fromkeys(found)))


def _blocks(strategy: SpanStrategy, learning: nn.Module) -> Iterator[Problem]:
    """Settings that need to know which parameter lies where."""
    if strategy.adapter is not None:
        hint = "put adapters beside the weights in your own code, and leave model.adapters out"
        yield Problem(key="adapter", rule="cannot be put beside the weights of a model that is not ours", hint=hint)
    names = [name for name, _ in learning.named_parameters()]
    asked = {
        "optimizer": strategy.optimizer if OPTIMIZERS[strategy.optimizer].auxiliary else None,
        "trainable": None if strategy.trainable == "all" else strategy.trainable,
        "layer_decay": strategy.layer_decay,
        "groups": "+".join(strategy.groups) if strategy.groups else None,
    }
    needs = {key: str(value) for key, value in asked.items() if value is not None}
    if all(layer_of(name) is None for name in names):
        rule = f"needs to know the layers of the model, and none of its parameters lies in one: {names[0]}, ..."
        yield from (Problem(key=key, value=value, rule=rule, hint=_NAMES_HINT) for key, value in needs.items())
        return
    missing = sorted(set(strategy.groups or ()) - {block_of(name) for name in names})
    if missing:
        yield Problem(key="groups", value=missing[0], rule="names no parameter of this model", hint=_NAMES_HINT)
    try:
        trainable_names(learning, strategy.trainable)
    except StudyError as error:
        yield from error.problems


def _regularizers(strategy: SpanStrategy, model: nn.Module, loss_is_ours: bool) -> Iterator[Problem]:
    for one in strategy.regularizers:
        reason = _reason(one.kind, model, loss_is_ours)
        if reason:
            hint = (
                f"leave {one.kind} out of the study's regularizers, or name it under `custom` and apply it yourself"
            )
            yield Problem(key="regularizers", value=one.kind, rule=reason, hint=hint)


def _reason(kind: str, model: nn.Module, loss_is_ours: bool) -> str:
    """Why a regularizer cannot be applied; empty if it can."""
    definition = REGULARIZERS.get(kind)
    if definition is None:
        return "is not a regularizer that is known here"
    named = definition.implementation
    hooks = resolve(named) if isinstance(named, str) else named
    if definition.acts_at_stage_end:
        return "acts where a stage ends, which a request for some steps does not tell"
    if definition.passes > 1:
        return "takes two passes over the tokens of a step, where this training takes one"
    if kind == "l2_sp":
        return "needs the first weights of the schedule, which are kept for models of ours only"
    if kind == "dropout" and not dropouts_of(model):
        return "cannot be set: the model has no dropout module and no attribute with a dropout probability"
    if not loss_is_ours and getattr(hooks, "objective", None) is not RegularizerHooks.objective:
        return "changes the training loss, which this training loop computes itself"
    return ""
