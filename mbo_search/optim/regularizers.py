"""The regularizers of a stage, as pieces that the training loop calls at their place in a step.

    training_loss      label smoothing and z-loss, after the forward pass
    prepare_gradients  coupled decay, noise, clipping by value, then by norm, before the optimizer's step
    shrink_weights     proximal L1, after it
    Ema                a moving average of the weights, updated last; measured, never trained from

Dropout is `model.set_dropout`; decoupled weight decay is the optimizer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbo_search.study.spec.schedule import Strategy

NOISE_EXPONENT = 0.55


def training_loss(logits: Tensor, targets: Tensor, stage: Strategy) -> tuple[Tensor, Tensor]:
    """Compute what is minimised, and beside it the plain cross entropy that is reported.

    With p = softmax(logits), log Z = logsumexp(logits), s = label smoothing and c = z-loss, the mean over tokens of
    -(1 - s) log p[target] - s mean_v log p[v] + c (log Z)^2.

    Args:
        logits: [B, T, V] or [N, V], float32 or bfloat16.
        targets: Token ids, int64 [B, T] or [N].
        stage: Its `label_smoothing` and `z_loss`.

    Returns:
        The mean objective of these tokens, float32, for the backward pass; and the sum of their cross entropies in
        nats, float32, without a graph.

    References:
        Szegedy et al. 2016, arXiv:1512.00567 (smoothing towards the uniform distribution); Chowdhery et al. 2022,
        arXiv:2204.02311 (z-loss). Differs from the papers: nothing.
    """
    rows, flat_targets = logits.flatten(0, -2), targets.flatten()
    smoothing, z_loss = stage.strength("label_smoothing") or 0.0, stage.strength("z_loss") or 0.0
    if not smoothing and not z_loss:
        cross_entropy = F.cross_entropy(rows.float(), flat_targets, reduction="sum")
        return cross_entropy / flat_targets.numel(), cross_entropy.detach()
    rows = rows.float()
    log_z = rows.logsumexp(dim=-1)
    losses = log_z - rows.gather(1, flat_targets[:, None]).squeeze(1)
    objective = losses
    if smoothing:
        objective = (1 - smoothing) * objective + smoothing * (log_z - rows.mean(dim=-1))
    if z_loss:
        objective = objective + z_loss * log_z.square()
    return objective.mean(), losses.detach().sum()


@torch.no_grad()
def prepare_gradients(parameters: Iterable[nn.Parameter], stage: Strategy, *, seed: int, step: int) -> float:
    """Change the gradients as a stage asks for, in this order: coupled decay, noise, value clip, norm clip.

    Args:
        parameters: Those that learn, always in the same order; ones without a gradient are skipped.
        stage: Its `l2`, `gradient_noise`, `clip_value` and `clip_norm`.
        seed: Seed of the schedule's noise.
        step: Optimizer steps of the schedule done; the noise is a function of seed and step alone.

    Returns:
        The global norm of the gradients as they came, before any of this; not finite if one of them is not.
    """
    learning = [parameter for parameter in parameters if parameter.grad is not None]
    grads = [parameter.grad for parameter in learning if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    as_came = norm
    l2, noise, clip_value = (stage.strength(kind) for kind in ("l2", "gradient_noise", "clip_value"))
    if l2:
        _add_decay(learning, l2)
    if noise:
        _add_noise(grads, (noise / (1 + step) ** NOISE_EXPONENT) ** 0.5, seed=seed, step=step)
    if clip_value is not None:
        torch.nn.utils.clip_grad_value_(learning, clip_value)
    if stage.clip_norm is not None:
        if l2 or noise or clip_value is not None:
            norm = torch.nn.utils.get_total_norm(grads)
        torch.nn.utils.clip_grads_with_norm_(learning, stage.clip_norm, norm)
    return float(as_came)


@torch.no_grad()
def shrink_weights(weights: Sequence[Tensor], stage: Strategy, *, lr: float) -> None:
    """Move every weight towards zero by lr * l1, stopping there: the proximal step of an L1 penalty.

    Args:
        weights: `StageOptimizer.decayed_weights()`, changed in place.
        stage: Its `l1`.
        lr: Learning rate of the step just done.

    References:
        Duchi & Singer 2009, Efficient Online and Batch Learning Using Forward Backward Splitting, JMLR 10. Differs
        from the paper: the threshold is not scaled by an optimizer's second moments.
    """
    l1 = stage.strength("l1")
    if l1:
        for weight in weights:
            weight.copy_(F.softshrink(weight, lr * l1))


class Ema:
    """An exponential moving average of all weights of a model, kept beside it.

    References:
        Polyak & Juditsky 1992, doi:10.1137/0330046. Differs from the paper: exponential, starting at the weights
        with which it is made, so that it needs no bias correction.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        assert 0.0 <= decay < 1.0, decay
        self._decay = decay
        self._averages = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move each average towards the weights by 1 - decay of the way; call it after every step."""
        weights = dict(model.named_parameters())
        torch._foreach_lerp_(
            list(self._averages.values()), [weights[name].detach() for name in self._averages], 1.0 - self._decay
        )

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Within the block the model has the averages for weights; behind it its own, bit for bit."""
        own = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        _put(model, self._averages)
        try:
            yield
        finally:
            _put(model, own)

    def export_state(self) -> dict[str, Tensor]:
        """The averages by parameter name; views, so copy or write them before the next update."""
        return dict(self._averages)

    def import_state(self, averages: dict[str, Tensor]) -> None:
        """Take over exported averages."""
        assert averages.keys() == self._averages.keys()
        for name, average in averages.items():
            self._averages[name].copy_(average)


@torch.no_grad()
def _put(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])


def _add_decay(parameters: Sequence[nn.Parameter], l2: float) -> None:
    for parameter in parameters:
        if parameter.ndim >= 2 and parameter.grad is not None:
            parameter.grad.add_(parameter, alpha=l2)


def _add_noise(grads: Sequence[Tensor], deviation: float, *, seed: int, step: int) -> None:
    """Drawn on the CPU, so that the noise is the same on every device."""
    generator = torch.Generator().manual_seed(_mix(seed, step))
    for grad in grads:
        noise = torch.randn(grad.shape, generator=generator, dtype=torch.float32)
        grad.add_(noise.to(grad), alpha=deviation)


def _mix(seed: int, step: int) -> int:
    """A seed of 63 bits from two numbers, by the finalizer of SplitMix64."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step + 1) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) % 2**64
    return (mixed ^ (mixed >> 31)) % 2**63
