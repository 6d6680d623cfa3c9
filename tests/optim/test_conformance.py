"""Every built-in optimizer and regularizer passes the conformance suite that extensions pass."""

import pytest
import torch

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.testing.optimizers import OPTIMIZER_CHECKS
from mbo_search.testing.regularizers import REGULARIZER_CHECKS


def named(check):
    return check.__name__


@pytest.mark.parametrize("check", OPTIMIZER_CHECKS, ids=named)
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer(name, check, lab):
    check(OPTIMIZERS[name], lab)


@pytest.mark.parametrize("check", REGULARIZER_CHECKS, ids=named)
@pytest.mark.parametrize("name", sorted(REGULARIZERS))
def test_every_regularizer(name, check, lab):
    check(REGULARIZERS[name], lab)


@pytest.mark.parametrize("name", ["muon", "soap"])
def test_the_adamw_part_gets_its_share_of_the_lr(name, lab):
    moved = []
    for ratio in (1.0, 0.25):
        model = lab.model().double()
        stage = lab.stage(name, weight_decay=0.0, hparams={"aux_lr_ratio": ratio})
        optimizer = lab.optimizer(model, stage)
        lab.train(model, optimizer, range(1), 0.0)
        before = lab.weights(model)
        lab.train(model, optimizer, range(1), 1e-4)
        moved.append({key: weight - before[key] for key, weight in lab.weights(model).items()})
    split = optimizer.split()
    for key in split["rest"]:
        torch.testing.assert_close(moved[1][key], 0.25 * moved[0][key], rtol=1e-6, atol=1e-12)
    for key in split["matrices"]:
        assert torch.equal(moved[1][key], moved[0][key])
