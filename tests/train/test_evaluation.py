"""Proves that a measurement is the plain mean over the windows' tokens, whatever the micro-batch, and changes
nothing."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import WindowRows, Windows
from mbo_search.errors import TrialError
from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.model.language_model import set_dropout
from mbo_search.train.evaluation import evaluate
from mbo_search.train.setup.eval_text import evaluation_windows_of
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import Metrics


@pytest.fixture
def model(setup: TrainSetup) -> Decoder:
    return build_decoder(setup.model, setup.vocab_size, seed=1)


@pytest.fixture
def windows(data: PreparedData) -> Windows:
    return evaluation_windows_of(data, context=16, num_tokens=176)  # eleven windows: no multiple of a micro-batch


def measure(model: Decoder, data: PreparedData, windows: Windows, setup: TrainSetup) -> Metrics:
    half = setup.model_copy(update={"bytes_per_token": 0.5})
    return evaluate(model, WindowRows(tokens=data.tokens("validation"), windows=windows), half)


def test_it_is_the_mean_over_all_tokens(
    model: Decoder, data: PreparedData, windows: Windows, setup: TrainSetup
) -> None:
    found = measure(model, data, windows, setup)
    tokens = torch.from_numpy(data.tokens("validation").astype("int64"))
    losses, right = [], 0
    for start in windows.starts:
        logits = model(tokens[start : start + 16][None]).detach()[0].double()
        targets = tokens[start + 1 : start + 17]
        losses += F.cross_entropy(logits, targets, reduction="none").tolist()
        right += int((logits.argmax(-1) == targets).sum())
    assert len(losses) == found.num_tokens == 176
    assert found.loss == pytest.approx(sum(losses) / 176, rel=1e-6)
    assert found.accuracy == right / 176
    assert found.bits_per_byte == pytest.approx(found.loss / math.log(2) / 0.5)


@pytest.mark.parametrize("micro_batch", [1, 3, 11, 64])
def test_the_micro_batch_does_not_matter(
    model: Decoder, data: PreparedData, windows: Windows, setup: TrainSetup, micro_batch: int
) -> None:
    other = measure(model, data, windows, setup.model_copy(update={"micro_batch": micro_batch}))
    expected = measure(model, data, windows, setup)
    assert other.loss == pytest.approx(expected.loss, rel=1e-6)
    assert other.accuracy == expected.accuracy


def test_dropout_is_off_and_the_mode_comes_back(
    model: Decoder, data: PreparedData, windows: Windows, setup: TrainSetup
) -> None:
    expected = measure(model, data, windows, setup)
    set_dropout(model, 0.5)
    model.train()
    assert measure(model, data, windows, setup) == expected
    assert model.training
    model.eval()
    measure(model, data, windows, setup)
    assert not model.training


def test_bfloat16_measures_nearly_the_same(
    model: Decoder, data: PreparedData, windows: Windows, setup: TrainSetup
) -> None:
    half = measure(model, data, windows, setup.model_copy(update={"precision": "bfloat16"}))
    assert half.loss == pytest.approx(measure(model, data, windows, setup).loss, rel=1e-2)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_a_loss_that_is_not_finite_ends_the_trial(
    model: Decoder, data: PreparedData, windows: Windows, setup: TrainSetup
) -> None:
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(TrialError, match="validation loss nan") as caught:
        measure(model, data, windows, setup)
    assert caught.value.reason == "non_finite"
    assert model.training
