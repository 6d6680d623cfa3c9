"""The conformance suite of regularizers.

A regularizer acts where its definition says and nowhere else, is a function of the seed and the step, continues bit
for bit from an exported state, and leaves no trace when it goes out of force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch
from torch import Tensor

from mbo_search.extensions import with_extensions
from mbo_search.model.decoder import Decoder
from mbo_search.optim.regularizers import NoiseSeed, RegularizerHooks, Regularizers, begin_regularizers
from mbo_search.optim.staged import StageOptimizer
from mbo_search.study.catalogue.entries import RegularizerDefinition
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.schedule import Regularizer, Stage
from mbo_search.testing.definitions import check_definition
from mbo_search.testing.lab import Lab, assert_equal

_STEPS = 8


def check_regularizer(regularizer: RegularizerDefinition) -> None:
    """Run every check on a regularizer; it need not be registered.

    Raises:
        AssertionError: If one does not hold.
    """
    known = REGULARIZERS.get(regularizer.name) is regularizer
    with nullcontext() if known else with_extensions(regularizer):
        for check in REGULARIZER_CHECKS:
            check(regularizer, Lab())


class _Run:
    """A model in training with a regularizer."""

    def __init__(self, stage: Stage, lab: Lab, *, drawn_before: int = 0) -> None:
        self.lab = lab
        self.stage = stage
        self.model: Decoder = lab.model()
        self.optimizer: StageOptimizer = lab.optimizer(self.model, stage)
        self.regularizers = begin_regularizers(self.model, stage, Regularizers())
        self.losses: list[float] = []
        self._drawn_before = drawn_before

    def resumed(self) -> _Run:
        """Make a run that continues from what this one exports."""
        other = _Run(self.stage, self.lab)
        other.model.load_state_dict(self.model.state_dict())
        other.optimizer.import_state(self.lab.saved(self.optimizer.export_state()))
        other.regularizers = begin_regularizers(other.model, self.stage, Regularizers())
        other.regularizers.import_state({name: t.clone() for name, t in self.regularizers.export_state().items()})
        return other

    def train(self, steps: Iterable[int]) -> _Run:
        """Take steps as the training loop takes them."""
        for step in steps:
            self._step(step)
        return self

    def ended(self) -> _Run:
        """End the stage as the training loop ends it."""
        self.regularizers.at_stage_end(self.model, self.optimizer)
        return self

    def _step(self, step: int) -> None:
        cross_entropy_sum = self._backward(step)
        with self.regularizers.perturbed(list(self.model.parameters())) as has_second_pass:
            if has_second_pass:
                self._backward(step)
        self.optimizer.set_lr(self.stage.lr)
        noise = NoiseSeed(seed=7, step=step)
        self.regularizers.prepare_gradients(self.model.parameters(), clip_norm=1.0, noise=noise)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.regularizers.after_step(self.model, self.optimizer, self.stage.lr)
        self.losses.append(cross_entropy_sum)

    def _backward(self, step: int) -> float:
        """Add up the gradients of a batch."""
        tokens, copies = self.lab.tokens(step), self.regularizers.copies
        torch.manual_seed(step if self.regularizers.draws_in_forward else self._drawn_before)
        logits = self.model(tokens[:, :-1].repeat(copies, 1)).chunk(copies)
        objective, cross_entropy_sum = self.regularizers.loss_of_copies(logits, tokens[:, 1:])
        objective.backward()  # type: ignore[no-untyped-call]
        return float(cross_entropy_sum)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights now."""
        return self.lab.weights(self.model)


def _stage(lab: Lab, regularizer: RegularizerDefinition | None, strength: float = 0.0) -> Stage:
    chosen = [] if regularizer is None else [Regularizer(kind=regularizer.name, strength=strength)]
    return lab.stage("adamw", {"regularizers": [*chosen, *_needed(regularizer)]})


def _needed(regularizer: RegularizerDefinition | None) -> list[Regularizer]:
    """The regularizer without which one would do nothing, if there is any."""
    if regularizer is None or not regularizer.needs:
        return []
    return [Regularizer(kind=regularizer.needs, strength=REGULARIZERS[regularizer.needs].search_high)]


def definition_is_sound(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """The description is complete, and its sensible range can be searched."""
    check_definition(regularizer, is_built_in=regularizer.name in REGULARIZERS.built_in)
    assert regularizer.low <= regularizer.search_low < regularizer.search_high <= regularizer.high
    assert not regularizer.log or regularizer.search_low > 0, "a logarithmic range cannot begin at 0"
    assert regularizer.passes >= 1
    run = _Run(_stage(lab, regularizer, regularizer.search_high), lab)
    hooks = run.regularizers.in_force[regularizer.name]
    assert isinstance(hooks, RegularizerHooks)
    assert hooks.copies == regularizer.copies, f"copies is {regularizer.copies}, but its class says {hooks.copies}"


def acts_as_it_says(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """It changes what is trained if its definition says so, and not by a bit if not."""
    without = lab.stage("adamw", {"regularizers": _needed(regularizer)})
    plain = _Run(without, lab).train(range(_STEPS)).weights
    strength = regularizer.search_low if regularizer.name == "clip_value" else regularizer.search_high
    regularized = _Run(_stage(lab, regularizer, strength), lab).train(range(_STEPS)).ended().weights
    moved = any(not torch.equal(weight, plain[name]) for name, weight in regularized.items())
    assert moved == regularizer.moves_weights, f"moves_weights is {regularizer.moves_weights}, but {moved=}"


def says_that_it_acts_at_a_stage_end(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """The end of a stage changes the weights if the definition says so, and not by a bit if not."""
    run = _Run(_stage(lab, regularizer, regularizer.search_high), lab).train(range(_STEPS))
    before = run.weights
    moved = any(not torch.equal(weight, before[name]) for name, weight in run.ended().weights.items())
    assert moved == regularizer.acts_at_stage_end, f"acts_at_stage_end is {regularizer.acts_at_stage_end}"


def is_off_at_zero(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """If strength 0 is the same as not having it, nothing is in force."""
    if regularizer.off_at_zero and regularizer.low == 0:
        assert regularizer.name not in _Run(_stage(lab, regularizer, 0.0), lab).regularizers.in_force


def weights_stay_finite(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """Both ends of the sensible range train."""
    for strength in (regularizer.search_low, regularizer.search_high):
        weights = _Run(_stage(lab, regularizer, strength), lab).train(range(_STEPS)).weights
        assert all(torch.isfinite(weight).all() for weight in weights.values()), f"strength {strength:g}"


def follows_from_seed_and_step(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """Random numbers in it depend on the seed and the step alone."""
    stage = _stage(lab, regularizer, regularizer.search_high)
    runs = [_Run(stage, lab, drawn_before=drawn).train(range(_STEPS)) for drawn in (1, 2)]
    assert runs[0].losses == runs[1].losses
    assert_equal(runs[0].weights, runs[1].weights, "depends on what was drawn before")


def exported_state_continues_bit_for_bit(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """The exported state holds all that it remembers."""
    stage = _stage(lab, regularizer, regularizer.search_high)
    run = _Run(stage, lab).train(range(3))
    resumed, later = run.resumed(), range(3, _STEPS)
    assert_equal(resumed.train(later).weights, run.train(later).weights, "resumed training")
    ends = [one.regularizers.export_state() for one in (resumed, run)]
    assert_equal(ends[0], ends[1], "resumed state")


def equal_strength_continues(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """A next stage with the same strength keeps the object and its state; another strength starts anew."""
    run = _Run(_stage(lab, regularizer, regularizer.search_high), lab).train(range(3))
    own = run.regularizers.in_force[regularizer.name]
    same = begin_regularizers(run.model, run.stage, run.regularizers)
    assert same.in_force[regularizer.name] is own
    other = begin_regularizers(run.model, _stage(lab, regularizer, regularizer.search_low), same)
    assert other.in_force[regularizer.name] is not own


def strength_changes_within_a_stage(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """A strength that is set before the first step is the strength, where the description allows other ones."""
    if regularizer.within_stage == "fixed":
        return
    strengths = (regularizer.search_low, regularizer.search_high)
    changed, expected = (_Run(_stage(lab, regularizer, strength), lab) for strength in strengths)
    changed.regularizers.set_strengths(changed.model, {regularizer.name: regularizer.search_high})
    assert changed.train(range(_STEPS)).losses == expected.train(range(_STEPS)).losses
    assert_equal(changed.ended().weights, expected.ended().weights, "the strength that was set is not in force")
    again = begin_regularizers(changed.model, changed.stage, changed.regularizers)
    assert again.in_force[regularizer.name].strength == regularizer.search_low


def leaves_no_trace(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """Out of force again before the first step, it changes nothing."""
    plain = _Run(_stage(lab, None), lab).train(range(_STEPS))
    run = _Run(_stage(lab, regularizer, regularizer.search_high), lab)
    run.regularizers = begin_regularizers(run.model, _stage(lab, None), run.regularizers)
    assert not run.regularizers.in_force
    assert_equal(run.train(range(_STEPS)).weights, plain.weights, "it left a trace")


def reported_loss_is_plain(regularizer: RegularizerDefinition, lab: Lab) -> None:
    """The loss that is reported is the cross entropy, whatever is minimized."""
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.randint(0, 7, (2, 5), generator=torch.Generator().manual_seed(1))
    run = _Run(_stage(lab, regularizer, regularizer.search_high), lab)
    objective, reported = run.regularizers.training_loss(logits, targets)
    _, plain = Regularizers().training_loss(logits, targets)
    torch.testing.assert_close(reported, plain, rtol=1e-6, atol=0.0)
    assert objective.ndim == 0, "the objective must keep one value per token"
    assert objective.dtype == torch.float32


REGULARIZER_CHECKS: tuple[Callable[[RegularizerDefinition, Lab], None], ...] = (
    definition_is_sound,
    acts_as_it_says,
    says_that_it_acts_at_a_stage_end,
    is_off_at_zero,
    weights_stay_finite,
    follows_from_seed_and_step,
    exported_state_continues_bit_for_bit,
    equal_strength_continues,
    strength_changes_within_a_stage,
    leaves_no_trace,
    reported_loss_is_plain,
)
"""Every check: (definition, lab) -> None, raising where it does not hold."""
