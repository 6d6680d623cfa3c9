"""Proves, for every architecture alike, that a model of masked tokens computes what `transformers` computes, that
padding never counts, and that it survives writing and reading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from mbo_search.data.masked import PADDING
from mbo_search.errors import StudyError
from mbo_search.model.build import build_model, sized_model
from mbo_search.model.hub import MaskedModel, read_written, write_network
from mbo_search.model.language_model import set_dropout
from mbo_search.optim.groups import partition_parameters
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec
from mbo_search.system.files import read_json, write_json
from mbo_search.testing.pretrained import MASKED_ARCHITECTURES, write_pretrained
from tests.train.builder import make_stage

VOCAB_SIZE = 258
MASK = 257


@pytest.fixture(scope="module", params=sorted(MASKED_ARCHITECTURES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(request.param, tmp_path_factory.mktemp(request.param))


def describe(folder: Path, layers: int | None = None) -> PretrainedModel:
    return sized_model(PretrainedSpec(pretrained=str(folder), context=16, layers=layers), VOCAB_SIZE)


def build(folder: Path, layers: int | None = None) -> MaskedModel:
    model = build_model(describe(folder, layers), VOCAB_SIZE, seed=0)
    assert isinstance(model, MaskedModel)
    return model.eval()


def ids(rows: int = 2, length: int = 16) -> torch.Tensor:
    return torch.randint(257, (rows, length), generator=torch.Generator().manual_seed(1))


def test_it_says_what_it_predicts(folder: Path) -> None:
    spec = describe(folder)
    assert (spec.objective, spec.mask_id) == ("masked", MASK)
    assert PretrainedModel.model_validate_json(spec.model_dump_json()) == spec


def test_the_loss_is_that_of_the_library(folder: Path) -> None:
    tokens, labels = ids(), torch.full((2, 16), -100)
    labels[:, 3:6] = tokens[:, 3:6]
    tokens[:, 3:6] = MASK
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = theirs(input_ids=tokens, labels=labels).loss
        found = torch.nn.functional.cross_entropy(build(folder)(tokens).flatten(0, 1), labels.flatten())
    assert abs(float(found - expected)) < 1e-5


def test_padding_never_counts(folder: Path) -> None:
    model, tokens = build(folder), ids()
    padded = torch.cat([tokens, torch.full((2, 5), PADDING)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(model(padded)[:, :16], model(tokens), rtol=1e-5, atol=1e-6)


def test_dropout_of_zero_changes_nothing_and_more_does(folder: Path) -> None:
    model, tokens = build(folder), ids()
    with torch.no_grad():
        plain = model(tokens)
        assert torch.equal(model.train()(tokens), plain)
        set_dropout(model, 0.5)
        assert not torch.equal(model(tokens), plain)


def test_every_parameter_is_in_one_group(folder: Path) -> None:
    model = build(folder)
    for optimizer in ("adamw", "muon"):
        groups = partition_parameters(model, make_stage("a", 1.0, optimizer))
        names = [member.name for group in groups for member in group.members]
        assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_what_is_written_reads_back_tied_weights_and_all(folder: Path, tmp_path: Path) -> None:
    model, tokens = build(folder, layers=2), ids()
    write_network(model, {"eos_token_id": 256, "bos_token_id": None, "pad_token_id": 256}, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    again = read_written(tmp_path, VOCAB_SIZE).eval()
    with torch.no_grad():
        assert torch.equal(again(tokens), model(tokens))
    assert again.spec.layers == 2


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    write_pretrained("bert", tmp_path)
    config = read_json(tmp_path / "tokenizer_config.json")
    del config["mask_token"]
    write_json(tmp_path / "tokenizer_config.json", config)
    with pytest.raises(StudyError, match="has no token for them"):
        describe(tmp_path)
