"""Proves the mathematics of regularizers that take a second pass against formulas written out here, and that the
weights come back bit for bit."""

from __future__ import annotations

import pytest
import torch

from mbo_search.optim.regularizers import Regularizers, begin_regularizers
from mbo_search.study.spec.schedule import Regularizer


def in_force(lab, model, **strengths):
    regularizers = tuple(Regularizer(kind=kind, strength=strength) for kind, strength in strengths.items())
    return begin_regularizers(model, lab.stage("adamw", regularizers=regularizers), Regularizers())


def gradients(lab, model, step=0):
    model.zero_grad()
    lab.loss(model, step).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_the_second_gradient_is_that_of_weights_a_step_uphill(lab):
    model, uphill, rho = lab.model().double(), lab.model().double(), 0.3
    first = gradients(lab, model)
    norm = sum(float(grad.square().sum()) for grad in first.values()) ** 0.5
    with torch.no_grad():
        for name, parameter in uphill.named_parameters():
            parameter += rho * first[name] / norm
    expected, before = gradients(lab, uphill), lab.weights(model)
    gradients(lab, model)
    with in_force(lab, model, sam=rho).perturbed(list(model.parameters())) as has_second_pass:
        assert has_second_pass
        assert all(parameter.grad is None for parameter in model.parameters())
        found = gradients(lab, model)
    assert all(torch.equal(weight, before[name]) for name, weight in lab.weights(model).items())
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad)
    assert not torch.allclose(found["model.embed_tokens.weight"], first["model.embed_tokens.weight"])


def test_without_one_there_is_no_second_pass_and_no_copy(lab):
    regularizers = in_force(lab, lab.model(), dropout=0.1, z_loss=1e-4)
    with regularizers.perturbed([]) as has_second_pass:
        assert not has_second_pass
    assert regularizers.copies == 1


def test_copies_pay_for_the_divergence_of_their_predictions(lab):
    one, other = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    targets = torch.arange(6)
    regularizers = in_force(lab, lab.model(), r_drop=0.8, dropout=0.1)
    objective, reported = regularizers.loss_of_copies([one, other], targets)
    p, q = one.softmax(-1), other.softmax(-1)
    losses = [-(x[range(6), targets]).log() for x in (p, q)]
    divergences = (p * (p / q).log()).sum(-1) + (q * (q / p).log()).sum(-1)
    torch.testing.assert_close(objective, (sum(losses) / 2 + 0.8 / 4 * divergences).mean())
    torch.testing.assert_close(reported, sum(losses).sum() / 2)
    same, _ = regularizers.loss_of_copies([one, one], targets)
    assert same.item() == pytest.approx(losses[0].mean().item())
