"""The regularizers of a stage: one class each, with the hooks of a training step that it needs.

A stage's regularizers are composed into one `Regularizers`, which the training loop calls at every hook. To add
one, derive from `RegularizerHooks`, override what acts, and name the class in a `RegularizerDefinition`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbo_search.errors import Problem, StudyError
from mbo_search.extensions import resolve
from mbo_search.model.language_model import set_dropout
from mbo_search.optim.staged import StageOptimizer
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.schedule import Regularizer, Strategy

NOISE_EXPONENT = 0.55


class Order(IntEnum):
    """Place among the regularizers that act at the same hook; equal ones act in the order of their names."""

    PENALTY = 0
    NOISE = 1
    LIMIT = 2
    MEASURE = 3


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """Material of a term of the training loss, for N tokens.

    Attributes:
        logits: [N, V], float32.
        targets: Token ids, int64 [N].
        log_z: Log-partition functions of the logits, [N].
    """

    logits: Tensor
    targets: Tensor
    log_z: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSeed:
    """Seed of everything that is random at a step.

    Attributes:
        seed: Seed of the schedule's noise.
        step: Optimizer steps of the schedule done.
    """

    seed: int
    step: int

    def generator(self) -> torch.Generator:
        """Make a generator on the CPU, so that the noise is the same on every device."""
        return torch.Generator().manual_seed(_mix(self.seed, self.step))


class RegularizerHooks:
    """A regularizer in force. Every hook does nothing unless it is overridden.

    Attributes:
        strength: Its number.
    """

    order: ClassVar[Order] = Order.PENALTY
    draws_in_forward: ClassVar[bool] = False
    """Whether the forward pass draws random numbers, so that the loop seeds them before every micro-batch."""

    copies: ClassVar[int] = 1
    """Copies of each sequence that a forward pass takes, which are compared."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def begin(self, model: nn.Module) -> None:
        """Come into force: the stage before had none of it, or another strength."""

    def end(self, model: nn.Module) -> None:
        """Go out of force; undo what `begin` did to the model."""

    def set_strength(self, model: nn.Module, strength: float) -> None:
        """Take another number for the next steps; overridden where more than `strength` holds it."""
        self.strength = strength

    def objective(self, objective: Tensor, tokens: TokenLosses) -> Tensor:
        """Change the training loss of each token, [N] -> [N]; the reported loss stays plain cross entropy."""
        return objective

    def compare(self, logits: Tensor, others: Tensor) -> Tensor:
        """A term of the training loss of each token, [N], from the logits of two copies of it, each [N, V]."""
        raise NotImplementedError("only regularizers that ask for copies compare them")

    def perturb(self, parameters: Sequence[nn.Parameter]) -> None:
        """Move the weights to where the gradients that count are taken, by those of a first pass.

        The weights are put back behind the second pass. A definition whose class does so has two `passes`.
        """

    def on_gradients(self, parameters: Sequence[nn.Parameter], noise: NoiseSeed) -> None:
        """Change the gradients in place, before they are clipped by their norm; all parameters have one."""

    def after_step(self, model: nn.Module, optimizer: StageOptimizer, lr: float) -> None:
        """Change the weights in place, or look at them, after the optimizer's step."""

    def at_stage_end(self, model: nn.Module, optimizer: StageOptimizer) -> None:
        """Change the weights in place after the last step of a stage, before they are measured.

        A definition whose class does so says `acts_at_stage_end`, as another length of the stage is other training.
        """

    def export_state(self) -> dict[str, Tensor]:
        """Return what it has to remember, by names and in shapes that are known after `begin`; views."""
        return {}

    def import_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over an exported state."""


class Dropout(RegularizerHooks):
    """Zero entries of the embeddings, the attention and each block's output.

    References:
        Srivastava et al. 2014, JMLR 15. Differs from the paper: nothing.
    """

    draws_in_forward = True

    def begin(self, model: nn.Module) -> None:
        """Switch the model's dropout on."""
        set_dropout(model, self.strength)

    def set_strength(self, model: nn.Module, strength: float) -> None:
        """Take another probability, which the model holds."""
        super().set_strength(model, strength)
        set_dropout(model, strength)

    def end(self, model: nn.Module) -> None:
        """Switch it off."""
        set_dropout(model, 0.0)


class LabelSmoothing(RegularizerHooks):
    """Spread a share s of the target's probability: (1 - s) loss - s mean_v log p[v].

    References:
        Szegedy et al. 2016, arXiv:1512.00567 (smoothing towards the uniform distribution). Differs from the paper:
        nothing.
    """

    def objective(self, objective: Tensor, tokens: TokenLosses) -> Tensor:
        """Mix the loss with that of the uniform distribution."""
        return (1 - self.strength) * objective + self.strength * (tokens.log_z - tokens.logits.mean(dim=-1))


class ZLoss(RegularizerHooks):
    """Add c (log Z)^2 with Z the partition function of the logits.

    References:
        Chowdhery et al. 2022, arXiv:2204.02311. Differs from the paper: nothing.
    """

    def objective(self, objective: Tensor, tokens: TokenLosses) -> Tensor:
        """Add the term."""
        return objective + self.strength * tokens.log_z.square()


class L2(RegularizerHooks):
    """Coupled decay: add the strength times the weight to the gradient of each matrix."""

    def on_gradients(self, parameters: Sequence[nn.Parameter], noise: NoiseSeed) -> None:
        """Add the weights."""
        for parameter in parameters:
            if parameter.ndim >= 2 and parameter.grad is not None:
                parameter.grad.add_(parameter, alpha=self.strength)


class GradientNoise(RegularizerHooks):
    """Add Gaussian noise whose variance falls with the steps.

    References:
        Neelakantan et al. 2015, arXiv:1511.06807. Differs from the paper: nothing.
    """

    order = Order.NOISE

    def on_gradients(self, parameters: Sequence[nn.Parameter], noise: NoiseSeed) -> None:
        """Add the noise of a step, the same whatever was drawn before."""
        deviation = (self.strength / (1 + noise.step) ** NOISE_EXPONENT) ** 0.5
        generator = noise.generator()
        for parameter in parameters:
            if parameter.grad is not None:
                drawn = torch.randn(parameter.grad.shape, generator=generator, dtype=torch.float32)
                parameter.grad.add_(drawn.to(parameter.grad), alpha=deviation)


class ClipValue(RegularizerHooks):
    """Cut every entry of the gradients, before their norm is clipped."""

    order = Order.LIMIT

    def on_gradients(self, parameters: Sequence[nn.Parameter], noise: NoiseSeed) -> None:
        """Cut the gradients."""
        torch.nn.utils.clip_grad_value_(parameters, self.strength)


class L1(RegularizerHooks):
    """Move every matrix towards zero by lr times the strength, stopping there: the proximal step of an L1 penalty.

    References:
        Duchi & Singer 2009, Efficient Online and Batch Learning Using Forward Backward Splitting, JMLR 10. Differs
        from the paper: the threshold is not scaled by an optimizer's second moments.
    """

    def after_step(self, model: nn.Module, optimizer: StageOptimizer, lr: float) -> None:
        """Shrink the weights."""
        for weight in optimizer.decayed_weights():
            weight.copy_(F.softshrink(weight, lr * self.strength))


class WeightAverage(RegularizerHooks):
    """An exponential moving average of all weights of a model, kept beside it.

    References:
        Polyak & Juditsky 1992, doi:10.1137/0330046. Differs from the paper: exponential, starting at the weights
        with which it begins, so that it needs no bias correction.
    """

    order = Order.MEASURE

    def begin(self, model: nn.Module) -> None:
        """Start at the weights."""
        assert 0.0 <= self.strength < 1.0, self.strength
        self._averages = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    def after_step(self, model: nn.Module, optimizer: StageOptimizer, lr: float) -> None:
        """Move each average towards the weights by 1 - decay of the way."""
        weights = dict(model.named_parameters())
        torch._foreach_lerp_(
            list(self._averages.values()), [weights[name].detach() for name in self._averages], 1.0 - self.strength
        )

    def export_state(self) -> dict[str, Tensor]:
        """Return the averages by parameter name; views, so copy or write them before the next step."""
        return dict(self._averages)

    def import_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over exported averages."""
        assert state.keys() == self._averages.keys()
        for name, average in state.items():
            self._averages[name].copy_(average)


class Ema(WeightAverage):
    """A moving average that is measured beside the weights, and never trained from."""


class EmaFold(WeightAverage):
    """A moving average that takes the place of the weights where a stage ends; training goes on from it.

    The optimizer keeps its state; a second sequence of weights, as of schedule-free optimizers, begins anew there.
    """

    def at_stage_end(self, model: nn.Module, optimizer: StageOptimizer) -> None:
        """Put the average in place."""
        optimizer.replace_weights(self._averages)


class Regularizers:
    """The regularizers of a stage, composed. Made by `begin_regularizers`.

    Attributes:
        in_force: Each by its name, in the order in which they act.
        strengths: The stage's number of each; a shape may give it another one at a step.
    """

    def __init__(self, in_force: Mapping[str, RegularizerHooks] | None = None) -> None:
        self.in_force: Mapping[str, RegularizerHooks] = in_force or {}
        self.strengths = {kind: one.strength for kind, one in self.in_force.items()}
        self._terms = [one for one in self.in_force.values() if _overrides(one, "objective")]
        self._on_gradients = [one for one in self.in_force.values() if _overrides(one, "on_gradients")]
        self._perturbing = [one for one in self.in_force.values() if _overrides(one, "perturb")]
        self._comparing = [one for one in self.in_force.values() if one.copies > 1]
        self.draws_in_forward = any(one.draws_in_forward for one in self.in_force.values())

    @property
    def copies(self) -> int:
        """Copies of each sequence that a forward pass takes, one behind the other along the batch."""
        return max((one.copies for one in self._comparing), default=1)

    @property
    def ema(self) -> Ema | None:
        """Return the moving average of the weights, if there is one."""
        return next((one for one in self.in_force.values() if isinstance(one, Ema)), None)

    @property
    def has_terms(self) -> bool:
        """Return whether the training loss is more than cross entropy."""
        return bool(self._terms)

    def loss_of_copies(self, logits: Sequence[Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what is minimized and what is reported, from the logits of each copy of a batch.

        Args:
            logits: As in `training_loss`, one a copy.
            targets: Those of one copy.

        Returns:
            The mean over the copies of what `training_loss` returns; to the objective is added what comparing the
            first two copies costs.
        """
        if len(logits) == 1:
            return self.training_loss(logits[0], targets)
        found = [self.training_loss(one, targets) for one in logits]
        objective = torch.stack([one for one, _ in found]).mean()
        rows = [one.flatten(0, -2).float() for one in logits]
        for one in self._comparing:
            compared = one.compare(rows[0], rows[1])
            objective = objective + (compared.mean() if compared.numel() else compared.sum())
        return objective, torch.stack([loss for _, loss in found]).mean()

    @contextmanager
    def perturbed(self, parameters: Sequence[nn.Parameter]) -> Iterator[bool]:
        """Put the weights in place at which a second pass takes its gradients, within the block.

        Args:
            parameters: Those that learn, with the gradients of a first pass, which are dropped.

        Yields:
            Whether there is a second pass.
        """
        if not self._perturbing:
            yield False
            return
        with torch.no_grad():
            own = [parameter.detach().clone() for parameter in parameters]
            for one in self._perturbing:
                one.perturb(parameters)
        for parameter in parameters:
            parameter.grad = None
        try:
            yield True
        finally:
            with torch.no_grad():
                for parameter, weight in zip(parameters, own, strict=True):
                    parameter.copy_(weight)

    def training_loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what is minimized, and beside it the plain cross entropy that is reported.

        Args:
            logits: [B, T, V] or [N, V], float32 or bfloat16.
            targets: Token ids, int64 [B, T] or [N].

        Returns:
            The mean objective of these tokens, float32, for the backward pass; and the sum of their cross entropies
            in nats, float32, without a graph.
        """
        rows, flat_targets = logits.flatten(0, -2), targets.flatten()
        if not self._terms:
            cross_entropy = F.cross_entropy(rows.float(), flat_targets, reduction="sum")
            return cross_entropy / max(1, flat_targets.numel()), cross_entropy.detach()
        rows = rows.float()
        log_z = rows.logsumexp(dim=-1)
        objective = losses = log_z - rows.gather(1, flat_targets[:, None]).squeeze(1)
        tokens = TokenLosses(rows, flat_targets, log_z)
        for term in self._terms:
            objective = term.objective(objective, tokens)
        mean = objective.mean() if flat_targets.numel() else objective.sum()
        return mean, losses.detach().sum()

    def set_strengths(self, model: nn.Module, strengths: Mapping[str, float]) -> None:
        """Set the numbers of the next steps, of some or all by name; what is not in force has none."""
        for kind, strength in strengths.items():
            if kind in self.in_force:
                self.in_force[kind].set_strength(model, strength)

    @torch.no_grad()
    def prepare_gradients(
        self, parameters: Iterable[nn.Parameter], *, clip_norm: float | None, noise: NoiseSeed
    ) -> float:
        """Change the gradients as the regularizers ask for, then clip their norm.

        Args:
            parameters: Those that learn, always in the same order; ones without a gradient are skipped.
            clip_norm: Largest global norm; None: no clipping.
            noise: Decides whatever is random in it.

        Returns:
            The global norm of the gradients as they came, before any of this; not finite if one of them is not.
        """
        learning = [parameter for parameter in parameters if parameter.grad is not None]
        grads = [parameter.grad for parameter in learning if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        as_came = norm
        for one in self._on_gradients:
            one.on_gradients(learning, noise)
        if clip_norm is not None:
            if self._on_gradients:
                norm = torch.nn.utils.get_total_norm(grads)
            torch.nn.utils.clip_grads_with_norm_(learning, clip_norm, norm)
        return float(as_came)

    @torch.no_grad()
    def after_step(self, model: nn.Module, optimizer: StageOptimizer, lr: float) -> None:
        """Let every regularizer act on the weights of the step just done."""
        for one in self.in_force.values():
            one.after_step(model, optimizer, lr)

    @torch.no_grad()
    def at_stage_end(self, model: nn.Module, optimizer: StageOptimizer) -> None:
        """Let every regularizer act on the weights that a stage ends with."""
        for one in self.in_force.values():
            one.at_stage_end(model, optimizer)

    def export_state(self) -> dict[str, Tensor]:
        """Return what they have to remember, by `<regularizer>/<name>`."""
        return {
            f"{kind}/{name}": tensor
            for kind, one in self.in_force.items()
            for name, tensor in one.export_state().items()
        }

    def import_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over an exported state."""
        for kind, one in self.in_force.items():
            prefix = f"{kind}/"
            own = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
            if own:
                one.import_state(own)


@torch.no_grad()
def begin_regularizers(model: nn.Module, stage: Strategy, previous: Regularizers) -> Regularizers:
    """Put the regularizers of a stage in force; those that keep their strength continue with their state.

    Raises:
        StudyError: If there is no regularizer of a name.
    """
    strengths = {one.kind: one.strength for one in stage.regularizers if not _is_off(one)}
    kept = {k: one for k, one in previous.in_force.items() if strengths.get(k) == previous.strengths[k]}
    previous.set_strengths(model, {kind: strengths[kind] for kind in kept})
    for kind, one in previous.in_force.items():
        if kind not in kept:
            one.end(model)
    in_force = dict(kept)
    for kind in strengths.keys() - kept.keys():
        in_force[kind] = _hooks(kind)(strengths[kind])
        in_force[kind].begin(model)
    return Regularizers(dict(sorted(in_force.items(), key=lambda item: (item[1].order, item[0]))))


def _is_off(regularizer: Regularizer) -> bool:
    definition = REGULARIZERS.get(regularizer.kind)
    return definition is not None and definition.off_at_zero and regularizer.strength == 0


def _hooks(kind: str) -> type[RegularizerHooks]:
    definition = REGULARIZERS.get(kind)
    if definition is None:
        raise StudyError([Problem(key="regularizers", value=kind, rule="is not a regularizer that is known here")])
    named = definition.implementation
    return cast(type[RegularizerHooks], resolve(named) if isinstance(named, str) else named)


def _overrides(one: RegularizerHooks, hook: str) -> bool:
    return getattr(type(one), hook) is not getattr(RegularizerHooks, hook)


def _mix(seed: int, step: int) -> int:
    """A seed of 63 bits from two numbers, by the finalizer of SplitMix64."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step + 1) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) % 2**64
    return (mixed ^ (mixed >> 31)) % 2**63
