"""Data of a tiny study, prepared once for all tests of training."""

from __future__ import annotations

import pytest
import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.train.setup.setup import TrainSetup
from tests.train.builder import tiny_data, tiny_setup


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return tiny_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def setup(data: PreparedData) -> TrainSetup:
    return tiny_setup(data)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
