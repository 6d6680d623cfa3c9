"""Proves that a user's module is built as documented, refused where it breaks the contract, and not run unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mbo_search.errors import StudyError
from mbo_search.extensions import ALLOW_CODE, worker_environment
from mbo_search.model.blocks import trainable_names
from mbo_search.model.build import build_model, sized_model
from mbo_search.optim.groups import partition_parameters
from mbo_search.study.spec.fresh_models import OwnModule, OwnModuleSpec
from tests.train.builder import make_stage

CODE = '''
import torch
from torch import nn

class Mean(nn.Module):
    """Scores the next token by the mean of all tokens so far."""

    def __init__(self, vocab_size, context, width=16):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)

    def forward(self, ids):
        x = self.embedding(ids).cumsum(1) / torch.arange(1, ids.shape[1] + 1)[:, None]
        for layer in self.layers:
            x = x + torch.relu(layer(x))
        return self.head(self.norm(x))

class Looks(Mean):
    def forward(self, ids):
        return super().forward(ids) + self.embedding(ids).mean()

class Flat(Mean):
    def forward(self, ids):
        return super().forward(ids)[:, 0]

class Fails(Mean):
    def forward(self, ids):
        raise ValueError("no")

def NotOne(vocab_size, context):
    return "text"
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ALLOW_CODE, "1")
    path = tmp_path / "model.py"
    path.write_text(CODE)
    return path


def describe(file: Path, name: str = "Mean", **arguments: int) -> OwnModule:
    return sized_model(OwnModuleSpec(code=f"{file}:{name}", arguments=arguments, context=8), 32)


def test_it_is_built_with_fresh_weights_of_the_seed(file: Path) -> None:
    spec = describe(file, width=24)
    assert (spec.width, spec.layers, spec.architecture, spec.library) == (24, 2, "Mean", None)
    before = torch.get_rng_state()
    one, again, other = (build_model(spec, 32, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["network.head.weight"], other["network.head.weight"])
    model = build_model(spec, 32, 1)
    assert model(torch.zeros(2, 8, dtype=torch.int64)).shape == (2, 8, 32)
    assert spec.num_parameters == sum(parameter.numel() for parameter in model.parameters())


def test_every_parameter_is_in_one_block_and_one_group(file: Path) -> None:
    model = build_model(describe(file), 32, 1)
    names = {name for name, _ in model.named_parameters()}
    assert trainable_names(model, "layers:0-1") == {name for name in names if ".layers." in name}
    groups = partition_parameters(model, make_stage("a", 1.0, "muon"))
    assert sorted(member.name for group in groups for member in group.members) == sorted(names)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Looks", "looks at later tokens"),
        ("Flat", r"gives a tensor of shape \(2, 32\)"),
        ("Fails", "ValueError: no"),
        ("NotOne", "gives str, not a torch.nn.Module"),
        ("Nobody", "has no attribute 'Nobody'"),
    ],
)
def test_what_breaks_the_contract_is_refused(file: Path, name: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        describe(file, name)


def test_other_arguments_than_the_class_takes_are_refused(file: Path) -> None:
    with pytest.raises(StudyError, match="unexpected keyword argument 'depth'"):
        describe(file, depth=3)


def test_code_is_not_run_unless_it_is_allowed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = describe(file)
    assert worker_environment()[ALLOW_CODE] == "1"
    monkeypatch.delenv(ALLOW_CODE)
    file.write_text("raise SystemExit('the code of a stranger was run')")
    with pytest.raises(StudyError, match="give --allow-code if you trust it"):
        describe(file)
    with pytest.raises(StudyError, match="holds other code than when the study began"):
        build_model(spec, 32, 0)
    assert ALLOW_CODE not in worker_environment()


def test_other_code_is_another_model(file: Path) -> None:
    first = describe(file)
    file.write_text(CODE.replace("torch.relu", "torch.tanh"))
    other = describe(file)
    assert first.sha256 != other.sha256
    assert first.key_material != other.key_material
    elsewhere = file.with_name("copy.py")
    elsewhere.write_text(CODE)
    assert describe(elsewhere).key_material == first.key_material
