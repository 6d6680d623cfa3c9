"""Proves that adapters change nothing at first, are where a study says, keep the names of weights, and leave as a
folder that `peft` puts on the same model with the same result, and merged."""

from __future__ import annotations

import sys
from pathlib import Path

import peft
import pytest
import torch
import transformers

from mbo_search.errors import StudyError
from mbo_search.model.adapters import num_adapter_weights
from mbo_search.model.blocks import block_of, trainable_names
from mbo_search.model.build import build_model, sized_model
from mbo_search.model.hub import HubModel, write_network
from mbo_search.model.language_model import set_dropout
from mbo_search.optim.groups import partition_parameters
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.testing.pretrained import MASKED_ARCHITECTURES, write_pretrained
from tests.train.builder import make_stage

VOCAB_SIZE = 257
ADAPTER = Adapter(rank=2, alpha=4.0)
SPECIAL = {"eos_token_id": 256, "bos_token_id": None, "pad_token_id": 256}


_ALIKE = (pytest.param(name, marks=pytest.mark.slow) for name in ("qwen3", "gemma", "mistral"))


@pytest.fixture(scope="module", params=["llama", "gpt2", "bert", *_ALIKE])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(request.param, tmp_path_factory.mktemp("folders") / request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained("llama", tmp_path_factory.mktemp("llama") / "base")


def build(folder: Path, adapter: Adapter | None = ADAPTER) -> HubModel:
    spec = sized_model(PretrainedSpec(pretrained=str(folder), context=16), VOCAB_SIZE)
    model = build_model(spec, VOCAB_SIZE, seed=0)
    if adapter is not None:
        model.attach(adapter, seed=1)
    return model.eval()


def ids() -> torch.Tensor:
    return torch.randint(VOCAB_SIZE, (2, 16), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def train(model: HubModel, expression: str) -> None:
    """Move the weights that an expression names, as training would."""
    model.trained = trainable_names(model, expression)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if name in model.trained:
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    found = model(ids()) if isinstance(model, HubModel) else model(input_ids=ids()).logits
    return found.float()


def theirs(folder: Path, architecture: str) -> transformers.PreTrainedModel:
    masks = architecture in MASKED_ARCHITECTURES
    kind = transformers.AutoModelForMaskedLM if masks else transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32).eval()


def test_at_first_they_change_nothing_and_no_name(folder: Path) -> None:
    plain, adapted = build(folder, None), build(folder)
    assert torch.equal(logits(plain), logits(adapted))
    names = {name for name, _ in plain.named_parameters()}
    added = {name for name, _ in adapted.named_parameters()} - names
    assert names < {name for name, _ in adapted.named_parameters()}
    assert added == trainable_names(adapted, "lora")
    assert sum(dict(adapted.named_parameters())[name].numel() for name in added) == num_adapter_weights(
        plain.network, ADAPTER
    )


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_is_in_one_group(folder: Path, optimizer: str) -> None:
    model = build(folder)
    groups = partition_parameters(model, make_stage("a", 1.0, optimizer))
    names = [member.name for group in groups for member in group.members]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # between the two libraries
@pytest.mark.parametrize("expression", ["lora", "lora+norms"])
def test_written_they_load_in_their_library_and_merged(folder: Path, expression: str, tmp_path: Path) -> None:
    model = build(folder)
    train(model, expression)
    expected = logits(model)
    assert not torch.allclose(expected, logits(build(folder)), atol=1e-2)
    write_network(model, SPECIAL, tmp_path / "out")
    assert model.adapter is None
    assert torch.allclose(logits(model), expected, atol=1e-5)
    assert torch.allclose(logits(theirs(tmp_path / "out", folder.name)), expected, atol=1e-5)
    loaded = peft.PeftModel.from_pretrained(theirs(folder, folder.name), tmp_path / "out" / "adapter").eval()
    assert torch.allclose(logits(loaded), expected, atol=1e-6)


def test_no_folder_is_written_where_other_weights_were_trained(llama: Path, tmp_path: Path) -> None:
    model = build(llama)
    train(model, "lora+mlp")
    expected = logits(model)
    write_network(model, SPECIAL, tmp_path)
    assert not (tmp_path / "adapter").exists()
    assert torch.allclose(logits(theirs(tmp_path, "llama")), expected, atol=1e-5)


def test_no_path_is_written(llama: Path, tmp_path: Path) -> None:
    write_network(build(llama), SPECIAL, tmp_path)
    texts = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert any('"base_model_name_or_path": "base"' in text for text in texts)
    assert not any(str(llama.parent) in text for text in texts)


@pytest.mark.parametrize(
    ("targets", "blocks", "per_layer"),
    [
        ("auto", {"attention", "mlp"}, 7),
        ("attention", {"attention"}, 4),
        ("q_proj + down_proj", {"attention", "mlp"}, 2),
    ],
)
def test_targets_name_weights(llama: Path, targets: str, blocks: set[str], per_layer: int) -> None:
    model = build(llama, Adapter(rank=2, alpha=4.0, targets=targets))
    names = trainable_names(model, "lora")
    beside = {block_of(name.replace(".lora_A", "").replace(".lora_B", "")) for name in names}
    assert (beside, len(names)) == (blocks, 2 * 3 * per_layer)


def test_unknown_targets_are_refused_before_training(llama: Path) -> None:
    spec = PretrainedSpec(
        pretrained=str(llama), context=16, adapters={"lora": {"rank": 2, "targets": ["auto", "query+mlp"]}}
    )
    with pytest.raises(StudyError, match=r"targets: query names no linear weight .* q_proj"):
        sized_model(spec, VOCAB_SIZE)


def test_without_the_library_it_is_said_how_to_get_it(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    spec = PretrainedSpec(pretrained=str(llama), context=16, adapters={"lora": {"rank": 2}})
    with pytest.raises(StudyError, match=r"needs the package `peft` .*mbo-search\[models\]"):
        sized_model(spec, VOCAB_SIZE)


def test_dropout_of_a_stage_is_not_theirs(llama: Path) -> None:
    model = build(llama, Adapter(rank=2, alpha=4.0, dropout=0.3)).train()
    train(model, "lora")
    assert model.draws_in_forward
    set_dropout(model, 0.0)
    assert not torch.equal(logits(model), logits(model))
    model.eval()
    assert torch.equal(logits(model), logits(model))


def test_a_fresh_decoder_takes_none() -> None:
    decoder = build_model(ModelSpec(layers=1, width=16, heads=2, context=8), 32, seed=0)
    with pytest.raises(StudyError, match="needs a pretrained model"):
        decoder.attach(ADAPTER, seed=0)
