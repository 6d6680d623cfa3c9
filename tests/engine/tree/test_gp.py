"""Proves that the model of boundary losses is a proper Gaussian process that learns from every stage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mbo_search.engine.tree.gp import MOST_OBSERVATIONS, choose_hyperparams, fit_path_model
from mbo_search.engine.tree.history import blocks_of
from mbo_search.engine.tree.kernel import KernelPrior, covariance, variance
from mbo_search.engine.tree.paths import PathEncoder

STAGES = 3
OPTIONS = [("adamw", 0.5), ("adamw", 2.0), ("muon", 1.0), ("lion", None)]


def path_of(options):
    params = {}
    for stage, option in enumerate(options):
        name, rate = OPTIONS[option]
        params[f"stage/{stage}/optimizer"] = name
        if rate is not None:
            params[f"stage/{stage}/lr_relative"] = rate
    return blocks_of(params, STAGES)[: len(options)]


def loss_of(options):
    """Every strategy helps more or less, and what it gained fades by half with every stage after it."""
    gains = (0.3, 0.5, 0.6, 0.1)
    age = len(options) - 1
    return 4.0 - age - sum(gains[option] * 0.5 ** (age - stage) for stage, option in enumerate(options))


ALL = [options for length in (1, 2, 3) for options in itertools.product(range(4), repeat=length)]


def fitted(observed):
    losses = {path_of(options): loss_of(options) for options in observed}
    encoder = PathEncoder([path_of(options) for options in ALL], STAGES)
    return fit_path_model(losses, encoder, choose_hyperparams(losses, encoder, STAGES, last=(), seed=0), STAGES)


def predicted(model, options):
    mean, spread = model.predict(model.encode([path_of(one) for one in options]))
    return mean, spread


@pytest.mark.parametrize("seed", range(3))
def test_the_covariance_is_positive_definite_and_agrees_with_the_variance(seed):
    encoder = PathEncoder([path_of(options) for options in ALL], STAGES)
    paths, prior = encoder.encode([path_of(one) for one in ALL]), KernelPrior(encoder.columns)
    for point in np.random.default_rng(seed).uniform(size=(4, prior.size)):
        kernel = prior.kernel(point)
        matrix = covariance(kernel, paths, paths)
        assert np.allclose(matrix, matrix.T)
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
        assert np.allclose(np.diag(matrix), variance(kernel, paths))


def test_a_parameter_without_effect_is_given_less_weight_than_one_with():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0, 1, size=(60, 2))
    losses = {
        blocks_of({"stage/0/lr": float(rate), "stage/0/other": float(other)}, 1): float((rate - 0.4) ** 2)
        for rate, other in rates
    }
    encoder, points = PathEncoder(list(losses), 1), ()
    for count in (20, 40, 60):
        points = choose_hyperparams(dict(list(losses.items())[:count]), encoder, 1, last=points, seed=0)
    lr, other = KernelPrior(encoder.columns).kernel(points[0]).weights
    assert lr > 3 * other


def test_choosing_hyperparameters_never_forgets_a_likelier_choice():
    losses = {path_of(options): loss_of(options) for options in ALL[:30]}
    encoder = PathEncoder(list(losses), STAGES)
    first = choose_hyperparams(losses, encoder, STAGES, last=(), seed=0)
    second = choose_hyperparams(losses, encoder, STAGES, last=first, seed=1)
    best = [fit_path_model(losses, encoder, points[:1], STAGES).log_likelihood for points in (first, second)]
    assert best[1] >= best[0]


def test_first_stages_order_the_strategies_of_later_ones():
    model = fitted([(0,), (1,), (2,), (3,), (2, 3), (2, 0)])
    mean, _ = predicted(model, [(2, 1), (2, 2)])
    known = [loss_of((2, 3)), loss_of((2, 0))]
    assert mean.max() < max(known)


def test_what_was_observed_is_known_and_what_is_far_is_not():
    observed = [(0,), (1,), (2,), (0, 0), (0, 1), (0, 2), (0, 1, 1), (0, 1, 2)]
    model = fitted(observed)
    mean, spread = predicted(model, observed)
    assert np.abs(mean - [loss_of(options) for options in observed]).max() < 0.1
    _, far = predicted(model, [(3, 3, 3)])
    assert far[0] > 2 * spread[-1]


def test_whole_schedules_are_ranked_from_few_of_them():
    rng = np.random.default_rng(0)
    whole = [options for options in ALL if len(options) == STAGES]
    chosen = [whole[index] for index in rng.permutation(len(whole))[:14]]
    observed = [options[:length] for options in chosen for length in (1, 2, 3)]
    mean, _ = predicted(fitted(observed), whole)
    truth = np.array([loss_of(options) for options in whole])
    assert np.corrcoef(mean, truth)[0, 1] > 0.9


def test_dead_ends_and_thousands_of_losses_are_taken():
    rng = np.random.default_rng(0)
    losses = {
        blocks_of({"stage/0/lr": float(rate)}, STAGES)[:1]: (np.inf if rate > 2.5 else float((rate - 1) ** 2))
        for rate in rng.uniform(0, 3, size=3 * MOST_OBSERVATIONS)
    }
    encoder = PathEncoder(list(losses), STAGES)
    model = fit_path_model(losses, encoder, choose_hyperparams(losses, encoder, STAGES, last=(), seed=0), STAGES)
    mean, spread = model.predict(model.encode([blocks_of({"stage/0/lr": rate}, STAGES)[:1] for rate in (1.0, 2.9)]))
    assert np.isfinite([*mean, *spread]).all()
    assert mean[0] < mean[1]
