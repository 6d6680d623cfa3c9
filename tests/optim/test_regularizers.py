"""Proves each regularizer against its formula written out slowly, that none of them acts unless it is asked for,
and that noise is a function of seed and step alone."""

import math

import pytest
import torch

from mbo_search.optim.regularizers import Ema, NoiseSeed, Regularizers, begin_regularizers
from mbo_search.study.spec.schedule import Regularizer


def stage_of(lab, *, clip_norm=None, **strengths):
    regularizers = tuple(Regularizer(kind=kind, strength=strength) for kind, strength in strengths.items())
    return lab.stage("adamw", clip_norm=clip_norm, regularizers=regularizers)


def in_force(lab, stage):
    return begin_regularizers(lab.model(), stage, Regularizers())


def prepare_gradients(lab, model, stage, *, seed=0, step=0):
    noise = NoiseSeed(seed=seed, step=step)
    return in_force(lab, stage).prepare_gradients(model.parameters(), clip_norm=stage.clip_norm, noise=noise)


def logits_and_targets(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 5, 7, generator=generator, dtype=torch.float64).to(dtype)
    return logits.requires_grad_(), torch.randint(0, 7, (2, 5), generator=generator)


def slow_objective(logits, targets, smoothing, z_loss):
    total = 0.0
    for row, target in zip(logits.flatten(0, 1), targets.flatten(), strict=True):
        log_z = row.exp().sum().log()
        wanted = torch.full((7,), smoothing / 7, dtype=logits.dtype)
        wanted[target] += 1 - smoothing
        total = total - (wanted * (row - log_z)).sum() + z_loss * log_z**2
    return total / targets.numel()


def model_with_gradients(lab, scale=1.0):
    model = lab.model()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
    return model, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def global_norm(grads):
    return math.sqrt(sum(grad.double().square().sum().item() for grad in grads.values()))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_the_objective_is_its_formula_and_the_report_plain_cross_entropy(smoothing, z_loss, lab):
    logits, targets = logits_and_targets(torch.float64)
    stage = stage_of(lab, label_smoothing=smoothing, z_loss=z_loss)
    objective, cross_entropy_sum = in_force(lab, stage).training_loss(logits, targets)
    expected = slow_objective(logits, targets, smoothing, z_loss)
    assert objective.item() == pytest.approx(expected.item(), rel=1e-6)
    plain = slow_objective(logits, targets, 0.0, 0.0).item() * targets.numel()
    assert cross_entropy_sum.item() == pytest.approx(plain, rel=1e-6)
    assert not cross_entropy_sum.requires_grad
    ours, theirs = (torch.autograd.grad(value, logits)[0] for value in (objective, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_equal_micro_batches_average_to_the_batch(lab):
    logits, targets = logits_and_targets()
    stage = stage_of(lab, label_smoothing=0.1)
    whole, whole_sum = in_force(lab, stage).training_loss(logits, targets)
    rows = [slice(half, half + 1) for half in (0, 1)]
    halves = [in_force(lab, stage).training_loss(logits[row], targets[row]) for row in rows]
    assert whole.item() == pytest.approx((halves[0][0].item() + halves[1][0].item()) / 2, rel=1e-6)
    assert whole_sum.item() == pytest.approx(halves[0][1].item() + halves[1][1].item(), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_half_precision_logits_are_summed_in_single_precision(smoothing, lab):
    logits, targets = logits_and_targets(torch.bfloat16)
    stage = stage_of(lab, label_smoothing=smoothing)
    objective, cross_entropy_sum = in_force(lab, stage).training_loss(logits, targets)
    assert objective.dtype == cross_entropy_sum.dtype == torch.float32
    expected = slow_objective(logits.double(), targets, smoothing, 0.0).item()
    assert objective.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_stay_as_they_came_without_a_regularizer(lab):
    model, before = model_with_gradients(lab)
    norm = prepare_gradients(lab, model, stage_of(lab))
    assert norm == pytest.approx(global_norm(before), rel=1e-5)
    assert all(torch.equal(grad, before[name]) for name, grad in gradients(model).items())


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_norm_clipping_scales_all_gradients_alike_and_reports_the_norm_before(limit, lab):
    model, before = model_with_gradients(lab)
    norm = prepare_gradients(lab, model, stage_of(lab, clip_norm=limit))
    assert norm == pytest.approx(global_norm(before), rel=1e-5)
    factor = min(1.0, limit / norm)
    for name, grad in gradients(model).items():
        torch.testing.assert_close(grad, before[name] * factor, rtol=1e-5, atol=0.0)


def test_value_clipping_comes_before_norm_clipping(lab):
    model, before = model_with_gradients(lab)
    norm = prepare_gradients(lab, model, stage_of(lab, clip_norm=1.0, clip_value=0.3))
    assert norm == pytest.approx(global_norm(before), rel=1e-5)
    cut = {name: grad.clamp(-0.3, 0.3) for name, grad in before.items()}
    for name, grad in gradients(model).items():
        torch.testing.assert_close(grad, cut[name] / global_norm(cut), rtol=1e-4, atol=0.0)


def test_coupled_decay_adds_the_weights_of_matrices_to_their_gradients(lab):
    model, before = model_with_gradients(lab)
    prepare_gradients(lab, model, stage_of(lab, l2=0.2))
    for name, parameter in model.named_parameters():
        expected = before[name] + (0.2 * parameter.detach() if parameter.ndim == 2 else 0.0)
        torch.testing.assert_close(parameter.grad, expected)


def test_frozen_parameters_get_no_gradient_from_regularizers(lab):
    model, _ = model_with_gradients(lab)
    model.model.embed_tokens.weight.grad = None
    stage = stage_of(lab, l2=0.1, gradient_noise=0.1, clip_value=1.0, clip_norm=1.0)
    prepare_gradients(lab, model, stage)
    assert model.model.embed_tokens.weight.grad is None


@pytest.mark.parametrize("step", [0, 99])
def test_noise_has_the_variance_of_the_paper(step, lab):
    model, before = model_with_gradients(lab)
    prepare_gradients(lab, model, stage_of(lab, gradient_noise=0.01), seed=5, step=step)
    noise = torch.cat([(grad - before[name]).flatten() for name, grad in gradients(model).items()])
    deviation = math.sqrt(0.01 / (1 + step) ** 0.55)
    assert noise.std().item() == pytest.approx(deviation, rel=0.03)
    assert abs(noise.mean().item()) < 4 * deviation / math.sqrt(noise.numel())


def test_noise_is_a_function_of_seed_and_step(lab):
    drawn = []
    for seed, step in ((1, 2), (1, 2), (1, 3), (2, 2)):
        torch.manual_seed(len(drawn))
        model, _ = model_with_gradients(lab)
        prepare_gradients(lab, model, stage_of(lab, gradient_noise=0.01), seed=seed, step=step)
        drawn.append(torch.cat([grad.flatten() for grad in gradients(model).values()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2])
    assert not torch.allclose(drawn[0], drawn[3])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_shows_in_the_norm(bad, lab):
    model, _ = model_with_gradients(lab)
    next(model.parameters()).grad[0, 0] = bad
    norm = prepare_gradients(lab, model, stage_of(lab, clip_norm=1.0))
    assert not math.isfinite(norm)


def test_proximal_l1_moves_matrices_towards_zero_and_stops_there(lab):
    model = lab.model()
    stage = stage_of(lab, l1=0.5)
    optimizer = lab.optimizer(model, stage)
    before = lab.weights(model)
    in_force(lab, stage).after_step(model, optimizer, 0.1)
    for name, weight in lab.weights(model).items():
        old = before[name]
        slow = torch.where(old > 0.05, old - 0.05, torch.where(old < -0.05, old + 0.05, torch.zeros(())))
        torch.testing.assert_close(weight, slow if weight.ndim == 2 else old)
    assert (lab.weights(model)["model.embed_tokens.weight"] == 0).float().mean() > 0.2


def test_weights_stay_without_l1(lab):
    model, stage = lab.model(), stage_of(lab)
    in_force(lab, stage).after_step(model, lab.optimizer(model, stage), 0.1)
    assert all(torch.equal(weight, lab.weights(lab.model())[name]) for name, weight in lab.weights(model).items())


def test_l1_reaches_both_sequences_of_schedule_free(lab):
    model, stage = lab.model(), lab.stage("sf_adamw")
    optimizer = lab.optimizer(model, stage)
    lab.train(model, optimizer, range(3), stage.lr)
    num_matrices = sum(parameter.ndim == 2 for parameter in model.parameters())
    assert len(optimizer.decayed_weights()) == 2 * num_matrices
    for weight in optimizer.decayed_weights():
        weight.zero_()
    optimizer.eval_mode()
    assert not any(parameter.any() for parameter in model.parameters() if parameter.ndim == 2)


def test_the_moving_average_is_its_formula(lab):
    model, stage = lab.model(), lab.stage("adamw")
    optimizer, ema = lab.optimizer(model, stage), Ema(0.9)
    ema.begin(model)
    slow = lab.weights(model)
    for step in range(5):
        lab.train(model, optimizer, [step], stage.lr)
        ema.after_step(model, optimizer, stage.lr)
        slow = {name: 0.9 * slow[name] + 0.1 * weight for name, weight in lab.weights(model).items()}
    for name, average in ema.export_state().items():
        torch.testing.assert_close(average, slow[name])


def test_gradients_are_decayed_then_disturbed_then_cut(lab):
    stage = stage_of(lab, clip_value=0.1, gradient_noise=0.1, l2=0.1, ema=0.9)
    assert list(in_force(lab, stage).in_force) == ["l2", "gradient_noise", "clip_value", "ema"]
