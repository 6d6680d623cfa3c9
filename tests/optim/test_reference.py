"""Proves each optimizer's numbers against torch.optim where it has the method, else against a slow formula written
out here from the paper, over a dozen steps on a language model."""

import copy
import math

import pytest
import torch

from mbo_search.optim.library import Soap, orthogonalize

STEPS = 12
LR, DECAY = 3e-3, 0.1


def run_ours(lab, name, **changes):
    model = lab.model().double()
    optimizer = lab.optimizer(model, lab.stage(name, weight_decay=DECAY, **changes))
    lab.train(model, optimizer, range(STEPS), LR)
    return lab.weights(model)


def run_reference(lab, update):
    """Train with `update(name, weight, grad, slots, t)`, t from 1, which returns the new weight."""
    model, slots = lab.model().double(), {}
    for t in range(1, STEPS + 1):
        model.zero_grad()
        lab.loss(model, t - 1).backward()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(
                    update(name, parameter.clone(), parameter.grad.clone(), slots.setdefault(name, {}), t)
                )
    return lab.weights(model)


def assert_same(ours, reference, rtol=1e-7):
    for name, weight in reference.items():
        torch.testing.assert_close(ours[name], weight, rtol=rtol, atol=rtol * 1e-2, msg=name)


def shrunk(weight):
    return weight * (1 - LR * DECAY) if weight.ndim == 2 else weight


def hidden(name, weight):
    return weight.ndim == 2 and "embed" not in name


def adam_step(weight, grad, slots, t, *, beta1=0.9, beta2=0.95):
    slots["m"] = beta1 * slots.get("m", 0.0) + (1 - beta1) * grad
    slots["v"] = beta2 * slots.get("v", 0.0) + (1 - beta2) * grad**2
    return weight - LR * (slots["m"] / (1 - beta1**t)) / ((slots["v"] / (1 - beta2**t)).sqrt() + 1e-8)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("sgd_nesterov", lambda groups: torch.optim.SGD(groups, lr=LR, momentum=0.9, nesterov=True)),
        ("adafactor", lambda groups: torch.optim.Adafactor(groups, lr=LR)),
        ("adam", lambda groups: torch.optim.Adam(groups, lr=LR, betas=(0.9, 0.95))),
        ("adamw", lambda groups: torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95))),
        (
            "nadamw",
            lambda groups: torch.optim.NAdam(groups, lr=LR, betas=(0.95, 0.98), decoupled_weight_decay=True),
        ),
    ],
)
def test_agrees_with_torch(name, library, lab):
    model = lab.model().double()
    matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    inside = DECAY if name in ("adamw", "nadamw") else 0.0
    groups = [{"params": matrices, "weight_decay": inside}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = library(groups)
    for step in range(STEPS):
        optimizer.zero_grad()
        lab.loss(model, step).backward()
        if name in ("adafactor", "sgd_nesterov"):
            for matrix in matrices:
                matrix.data.mul_(1 - LR * DECAY)
        optimizer.step()
    assert_same(run_ours(lab, name), lab.weights(model))


def test_lion_is_the_sign_of_the_interpolated_mean(lab):
    def update(name, weight, grad, slots, t):
        mean = slots.get("m", torch.zeros_like(grad))
        slots["m"] = 0.95 * mean + 0.05 * grad
        return shrunk(weight) - LR * (0.9 * mean + 0.1 * grad).sign()

    assert_same(run_ours(lab, "lion"), run_reference(lab, update))


def test_muon_is_the_orthogonalized_momentum_and_adamw_for_the_rest(lab):
    def update(name, weight, grad, slots, t):
        if not hidden(name, weight):
            return adam_step(shrunk(weight), grad, slots, t)
        slots["b"] = 0.95 * slots.get("b", 0.0) + 0.05 * grad
        u, s, v = torch.linalg.svd(0.95 * slots["b"] + 0.05 * grad, full_matrices=False)
        s = s / s.norm()
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        return shrunk(weight) - LR * 0.2 * math.sqrt(max(weight.shape)) * (u @ s.diag() @ v)

    assert_same(run_ours(lab, "muon"), run_reference(lab, update), rtol=1e-5)


def test_muonh_turns_hidden_matrices_and_keeps_their_norms(lab):
    lengths = {}

    def update(name, weight, grad, slots, t):
        if not hidden(name, weight):
            ratio = 0.3 * LR
            slots["m"] = 0.9 * slots.get("m", 0.0) + 0.1 * grad
            slots["v"] = 0.95 * slots.get("v", 0.0) + 0.05 * grad**2
            return weight - ratio * (slots["m"] / (1 - 0.9**t)) / ((slots["v"] / (1 - 0.95**t)).sqrt() + 1e-8)
        slots["b"] = 0.95 * slots.get("b", 0.0) + 0.05 * grad
        direction = orthogonalize(0.95 * slots["b"] + 0.05 * grad)
        radius = lengths.setdefault(name, weight.norm())
        turned = weight - LR * radius * direction / direction.norm()
        return radius * turned / turned.norm()

    ours = run_ours(lab, "muonh")
    assert_same(ours, run_reference(lab, update))
    for name, length in lengths.items():
        torch.testing.assert_close(ours[name].norm(), length)


def test_muon_agrees_with_torch_up_to_its_bfloat16(lab):
    weight = torch.nn.Parameter(torch.randn(8, 20, generator=torch.Generator().manual_seed(0)))
    ours, theirs = copy.deepcopy(weight), copy.deepcopy(weight)
    library = torch.optim.Muon([theirs], lr=1.0, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    theirs.grad = torch.randn(8, 20, generator=torch.Generator().manual_seed(1))
    library.step()
    with torch.no_grad():
        ahead = theirs.grad.lerp(0.05 * theirs.grad, 0.95)
        ours -= 0.2 * math.sqrt(20) * orthogonalize(ahead)
    torch.testing.assert_close(ours - weight, theirs - weight, rtol=0.1, atol=0.02)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_orthogonalizing_brings_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    singular = torch.linalg.svdvals(orthogonalize(matrix))
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    assert not orthogonalize(torch.zeros(shape)).any()


def test_muon_steps_have_the_size_of_adamw_steps(lab):
    sizes = {}
    for name in ("adamw", "muon"):
        model = lab.model(width=64)
        optimizer = lab.optimizer(model, lab.stage(name, weight_decay=0.0, hparams={"beta1": 0.9}))
        before = lab.weights(model)
        lab.train(model, optimizer, range(20), 1e-4)
        key = "model.layers.0.mlp.up_proj.weight"
        sizes[name] = (lab.weights(model)[key] - before[key]).square().mean().sqrt().item()
    assert 0.2 < sizes["muon"] / sizes["adamw"] < 2.0


def test_ademamix_warms_up_its_slow_mean_over_the_budget(lab):
    budget, alpha, beta1, beta2, beta3 = lab.budget_steps, 2.0, 0.9, 0.99, 0.999

    def update(name, weight, grad, slots, t):
        r = min(t / budget, 1.0)
        beta3_t = math.exp(math.log(beta1) * math.log(beta3) / ((1 - r) * math.log(beta3) + r * math.log(beta1)))
        slots["fast"] = beta1 * slots.get("fast", 0.0) + (1 - beta1) * grad
        slots["slow"] = beta3_t * slots.get("slow", 0.0) + (1 - beta3_t) * grad
        slots["v"] = beta2 * slots.get("v", 0.0) + (1 - beta2) * grad**2
        mixed = slots["fast"] / (1 - beta1**t) + alpha * r * slots["slow"]
        return shrunk(weight) - LR * mixed / ((slots["v"] / (1 - beta2**t)).sqrt() + 1e-8)

    assert_same(run_ours(lab, "ademamix"), run_reference(lab, update))


def test_schedule_free_trains_y_and_evaluates_x(lab):
    beta1, beta2 = 0.9, 0.99
    averages = {}

    def update(name, y, grad, slots, t):
        z, x = slots.get("z", y), slots.get("x", y)
        slots["v"] = beta2 * slots.get("v", 0.0) + (1 - beta2) * grad**2
        # the library adds 1e-15 within the root, which only gradients below 1e-7 can feel
        direction = grad / ((slots["v"] / (1 - beta2**t) + 1e-15).sqrt() + 1e-8)
        if y.ndim == 2:
            direction = direction + DECAY * y
        slots["z"] = z - LR * direction
        slots["x"] = averages[name] = (1 - 1 / t) * x + slots["z"] / t
        return (1 - beta1) * slots["z"] + beta1 * slots["x"]

    model = lab.model().double()
    optimizer = lab.optimizer(model, lab.stage("sf_adamw", weight_decay=DECAY))
    lab.train(model, optimizer, range(STEPS), LR)
    assert_same(lab.weights(model), run_reference(lab, update), rtol=1e-5)
    optimizer.eval_mode()
    assert_same(lab.weights(model), averages, rtol=1e-5)


def test_soap_is_adam_in_the_eigenbasis():
    """On one square matrix with full-rank gradients, so that the eigenbasis is unique up to signs."""
    weight = torch.nn.Parameter(torch.zeros(5, 5, dtype=torch.float64))
    betas, frequency = (0.9, 0.8), 3
    soap = Soap([weight], lr=LR, betas=betas, shampoo_beta=0.95, weight_decay=0.0, precondition_frequency=frequency)
    reference, slots = weight.detach().clone(), {}
    generator = torch.Generator().manual_seed(0)
    for t in range(1, STEPS + 1):
        grad = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        weight.grad = grad.clone()
        soap.step()
        reference = soap_reference(reference, grad, slots, t, betas=betas, frequency=frequency)
        torch.testing.assert_close(weight.detach(), reference, rtol=1e-4, atol=1e-6)
    assert weight.detach().abs().max() > LR


def soap_reference(weight, grad, slots, t, *, betas, frequency):
    """Vyas et al. 2024, algorithm 3, with one round of power iteration (algorithm 4) every `frequency` steps."""
    left, right = slots.get("L", 0.0), slots.get("R", 0.0)
    if t > 1:
        slots["m"] = betas[0] * slots.get("m", 0.0) + (1 - betas[0]) * grad
        slots["v"] = betas[1] * slots.get("v", 0.0) + (1 - betas[1]) * (slots["QL"].T @ grad @ slots["QR"]) ** 2
        turned = (slots["QL"].T @ slots["m"] @ slots["QR"]) / (slots["v"].sqrt() + 1e-8)
        size = LR * math.sqrt(1 - betas[1] ** (t - 1)) / (1 - betas[0] ** (t - 1))
        weight = weight - size * slots["QL"] @ turned @ slots["QR"].T
    slots["L"], slots["R"] = 0.95 * left + 0.05 * grad @ grad.T, 0.95 * right + 0.05 * grad.T @ grad
    if t == 1:
        slots["QL"], slots["QR"] = (torch.linalg.eigh(s).eigenvectors.flip(1) for s in (slots["L"], slots["R"]))
    elif (t - 1) % frequency == 0:
        for axis, (basis, statistics) in enumerate((("QL", "L"), ("QR", "R"))):
            product = slots[statistics] @ slots[basis]
            order = (slots[basis] * product).sum(0).argsort(descending=True)
            slots["v"] = slots["v"].index_select(axis, order)
            # the library decomposes in float32, whatever the type of the weights
            slots[basis] = torch.linalg.qr(product[:, order].float()).Q.double()
    return weight
