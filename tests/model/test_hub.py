"""Proves, for every architecture alike, that a pretrained model computes what `transformers` computes, is cut where
a study says so, survives writing and reading, and that each of its parameters is in one block and one group."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import transformers

from mbo_search.errors import StudyError
from mbo_search.model.blocks import layer_of, trainable_names
from mbo_search.model.build import build_model, sized_model
from mbo_search.model.hub import HubModel, read_written, write_network
from mbo_search.model.language_model import set_dropout
from mbo_search.model.size import num_parameters
from mbo_search.optim.groups import partition_parameters
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.testing.pretrained import ARCHITECTURES, write_pretrained
from tests.train.builder import make_stage

VOCAB_SIZE = 257
KINDS = ("embeddings", "attention", "mlp", "norms")


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(request.param, tmp_path_factory.mktemp(request.param))


def describe(folder: Path, *, context: int = 16, layers: int | None = None) -> PretrainedModel:
    return sized_model(PretrainedSpec(pretrained=str(folder), context=context, layers=layers), VOCAB_SIZE)


def build(folder: Path, layers: int | None = None) -> HubModel:
    return build_model(describe(folder, layers=layers), VOCAB_SIZE, seed=0)


def ids(rows: int = 2, length: int = 16) -> torch.Tensor:
    return torch.randint(VOCAB_SIZE, (rows, length), generator=torch.Generator().manual_seed(1))


def theirs(folder: Path) -> transformers.PreTrainedModel:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_the_loss_is_that_of_the_library(folder: Path) -> None:
    model, tokens = build(folder).eval(), ids()
    with torch.no_grad():
        logits = model(tokens[:, :-1])
        expected = theirs(folder)(input_ids=tokens, labels=tokens).loss
    found = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert abs(float(found - expected)) < 1e-5


def test_the_first_layers_are_kept(folder: Path) -> None:
    spec = describe(folder, layers=2)
    model = build_model(spec, VOCAB_SIZE, seed=0)
    assert spec.layers == 2
    assert {layer_of(name) for name, _ in model.named_parameters()} == {None, 0, 1}
    whole = dict(build(folder).named_parameters())
    assert all(torch.equal(parameter, whole[name]) for name, parameter in model.named_parameters())


def test_the_size_is_known_without_the_weights(folder: Path) -> None:
    for layers in (None, 1):
        spec = describe(folder, layers=layers)
        parameters = list(build_model(spec, VOCAB_SIZE, seed=0).parameters())
        assert num_parameters(spec, VOCAB_SIZE) == sum(parameter.numel() for parameter in parameters)
    assert (spec.width, spec.num_embeddings) == (32, 260)


def test_building_twice_gives_equal_weights_and_moves_no_generator(folder: Path) -> None:
    before = torch.get_rng_state()
    one, other = build(folder).state_dict(), build(folder).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_dropout_of_zero_changes_nothing_and_more_does(folder: Path) -> None:
    model, tokens = build(folder), ids()
    with torch.no_grad():
        plain = model.eval()(tokens)
        assert torch.equal(model.train()(tokens), plain)
        set_dropout(model, 0.5)
        assert not torch.equal(model(tokens), plain)
        set_dropout(model, 0.0)
        assert torch.equal(model(tokens), plain)


def test_every_parameter_is_in_one_block(folder: Path) -> None:
    model = build(folder)
    blocks = [trainable_names(model, kind) for kind in KINDS]
    assert sum(map(len, blocks)) == len(list(model.named_parameters()))
    assert frozenset().union(*blocks) == trainable_names(model, "all")
    layers = trainable_names(model, "layers:0-2")
    assert layers == {name for name, _ in model.named_parameters() if layer_of(name) is not None}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_is_in_one_group(folder: Path, optimizer: str) -> None:
    model = build(folder)
    groups = partition_parameters(model, make_stage("a", 1.0, optimizer))
    names = [member.name for group in groups for member in group.members]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_the_library_says_as_much_afterwards_as_before(folder: Path) -> None:
    logging = transformers.utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    build(folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_what_is_written_reads_back_tied_weights_and_all(folder: Path, tmp_path: Path) -> None:
    model, tokens = build(folder, layers=2).eval(), ids()
    write_network(model, {"eos_token_id": 256, "bos_token_id": None, "pad_token_id": 256}, tmp_path)
    again = read_written(tmp_path, VOCAB_SIZE).eval()
    with torch.no_grad():
        expected = model(tokens)
        assert torch.equal(again(tokens), expected)
        assert torch.allclose(theirs(tmp_path)(input_ids=tokens).logits, expected, atol=1e-6)
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert again.spec.context == 64


def test_a_study_that_wants_more_than_there_is_is_refused(folder: Path) -> None:
    with pytest.raises(StudyError) as refused:
        describe(folder, context=65, layers=4)
    assert [problem.key for problem in refused.value.problems] == ["model.context", "model.layers"]


def test_the_digest_names_the_weights_and_not_the_place(tmp_path: Path) -> None:
    first, again = (describe(write_pretrained("llama", tmp_path / name)) for name in ("a", "b"))
    other = describe(write_pretrained("llama", tmp_path / "c", seed=1))
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    transformers.T5Config(num_layers=1, d_model=16, d_ff=16, num_heads=2, d_kv=8, vocab_size=260).save_pretrained(
        tmp_path
    )
    with pytest.raises(StudyError, match="predicts neither next tokens nor masked ones"):
        describe(tmp_path)


def test_code_in_a_folder_is_not_run(tmp_path: Path) -> None:
    write_pretrained("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "stranger", "auto_map": {"AutoConfig": "code.StrangerConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('the code of a stranger was run')")
    with pytest.raises(StudyError, match=r"model\.pretrained"):
        describe(tmp_path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    write_pretrained("gpt2", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StudyError, match=r"lack the weights transformer\.h\.1\.mlp\.c_fc\.weight"):
        build(tmp_path)


def test_a_cut_model_may_begin_worse_than_guessing(tmp_path: Path) -> None:
    model = build(write_pretrained("llama", tmp_path), layers=1)
    assert model.highest_first_loss == pytest.approx(2 * math.log(VOCAB_SIZE))
    assert build_model(
        ModelSpec(layers=1, width=16, heads=2, context=8), 32, seed=0
    ).highest_first_loss == math.log(32)


def test_a_decoder_is_its_own_description() -> None:
    spec = ModelSpec(layers=1, width=16, heads=2, context=8)
    assert sized_model(spec, VOCAB_SIZE) is spec


def write_gguf(source: Path, folder: Path) -> Path:
    """A tiny Llama as llama.cpp keeps it: other names, and the halves of each head's rows interleaved."""
    import gguf

    model, config = theirs(source), transformers.AutoConfig.from_pretrained(source)
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        rows = next((number for part, number in heads.items() if part in name), None)
        if rows is not None:
            tensor = tensor.view(rows, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
        if name != "lm_head.weight":
            known = names.get_name(name, try_suffixes=(".weight",))
            writer.add_tensor(known, tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


def test_a_file_of_llama_cpp_is_read(tmp_path: Path) -> None:
    write_pretrained("llama", tmp_path / "source")
    (tmp_path / "gguf").mkdir()
    folder = write_gguf(tmp_path / "source", tmp_path / "gguf")
    spec, tokens = describe(folder, layers=2), ids()
    with torch.no_grad():
        found = build_model(spec, VOCAB_SIZE, seed=0).eval()(tokens)
        expected = build(tmp_path / "source", layers=2).eval()(tokens)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert spec.num_parameters == describe(tmp_path / "source", layers=2).num_parameters
