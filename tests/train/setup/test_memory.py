"""Proves that memory is predicted before anything is trained, and that what cannot fit is refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mbo_search.errors import StudyError
from mbo_search.model.build import build_model, sized_model
from mbo_search.model.decoder import build_decoder
from mbo_search.model.language_model import recompute_layers
from mbo_search.model.size import num_parameters
from mbo_search.study.spec.fresh_models import ArchitectureSpec
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.sections.choices import RegularizerChoice
from mbo_search.system import memory as system_memory
from mbo_search.testing.pretrained import write_pretrained
from mbo_search.testing.runs import make_setup, make_study
from mbo_search.train.setup import memory as module
from mbo_search.train.setup.memory import check_memory, count_weights, trial_memory

MIB = 2**20

_NETWORK = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}


@pytest.fixture
def planned():
    study = make_study(2)
    return study, make_setup(study)


def test_memory_grows_by_the_sequences_of_a_micro_batch(planned):
    study, setup = planned
    small, large = (
        trial_memory(study, setup.model_copy(update={"micro_batch": size}), slots=1) for size in (1, 33)
    )
    assert large.needed_bytes - small.needed_bytes == 32 * small.sequence_bytes
    assert small.fixed_bytes == large.fixed_bytes > 400 * MIB


def test_the_largest_micro_batch_that_fits_is_named_and_fits(planned, monkeypatch):
    study, setup = planned
    monkeypatch.setattr(module, "memory_bytes", lambda: 900 * MIB)
    setup = setup.model_copy(update={"micro_batch": 100_000})
    with pytest.raises(StudyError, match=r"the largest that fits is --set train\.micro_batch=") as caught:
        check_memory(study, setup, slots=2)
    problem = caught.value.problems[0]
    assert (problem.key, problem.value) == ("train.micro_batch", "100000")
    largest = int(problem.hint.split("=")[1].split(";")[0])
    assert check_memory(study, setup.model_copy(update={"micro_batch": largest}), slots=2).needed_bytes <= 450 * MIB


def test_a_model_that_fits_in_no_way_is_refused(planned, monkeypatch):
    study, setup = planned
    monkeypatch.setattr(module, "memory_bytes", lambda: 100 * MIB)
    with pytest.raises(StudyError, match="memory a trial") as caught:
        check_memory(study, setup, slots=1)
    assert caught.value.problems[0].key == "model"


def test_a_limit_of_the_process_counts(planned, monkeypatch):
    study, setup = planned
    monkeypatch.setattr(module, "process_bytes_left", lambda: 0)
    assert trial_memory(study, setup, slots=1).available_bytes == 400 * MIB


@pytest.mark.parametrize(("text", "found"), [("1000\n", 1000), ("max\n", None)])
def test_a_container_s_quota_is_read(text, found, tmp_path):
    (tmp_path / "memory.max").write_text(text)
    assert system_memory.quota_bytes(tmp_path) == found
    assert system_memory.quota_bytes(tmp_path / "none") is None


def test_layers_that_are_computed_again_are_not_counted(planned):
    study, setup = planned
    deep = setup.model_copy(update={"model": setup.model.model_copy(update={"layers": 24})})
    kept = trial_memory(study, deep, slots=1).sequence_bytes
    again = trial_memory(study, deep.model_copy(update={"gradient_checkpointing": True}), slots=1).sequence_bytes
    assert saved_floats(deep.model) < kept / 4 / deep.model.context < 1.35 * saved_floats(deep.model)
    assert again < kept / 4
    assert saved_floats(deep.model, recomputes=True) < again / 4 / deep.model.context


def saved_floats(spec, *, recomputes=False):
    """Floats a token that the backward pass of a model really keeps, weights aside."""
    model = build_decoder(spec, 1024, seed=0)
    if recomputes:
        recompute_layers(model)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = torch.arange(spec.context + 1) % 1024
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = F.cross_entropy(model(tokens[None, :-1]).flatten(0, 1), tokens[1:])
    assert loss.requires_grad
    return sum(size for place, size in found.items() if place not in weights) / 4 / spec.context


def test_what_regularizers_keep_is_counted(planned):
    study, setup = planned
    kept = (RegularizerChoice(kind="ema", strength=0.9), RegularizerChoice(kind="l2_sp", strength=0.1))
    stages = tuple(stage.model_copy(update={"regularizers": ((), kept)}) for stage in study.stages)
    more = trial_memory(study.model_copy(update={"stages": stages}), setup, slots=1).fixed_bytes
    copies = (more - trial_memory(study, setup, slots=1).fixed_bytes) / (
        4 * num_parameters(setup.model, setup.vocab_size)
    )
    assert copies == pytest.approx(2)


def test_frozen_weights_have_neither_gradients_nor_a_state(planned, tmp_path):
    _, setup = planned
    folder = write_pretrained("llama", tmp_path)
    fixed = {}
    for name, settings in {
        "all": {},
        "adapters": {"adapters": {"lora": {"rank": [2, 4]}}},
        "both": {"adapters": {"lora": {"rank": 2}}, "trainable": "all"},
    }.items():
        trainable = settings.pop("trainable", "lora" if settings else "all")
        spec = PretrainedSpec(pretrained=str(folder), context=16, **settings)
        study = make_study(2)
        stages = tuple(stage.model_copy(update={"trainable": (trainable,)}) for stage in study.stages)
        study = study.model_copy(update={"model": spec, "stages": stages})
        sized = setup.model_copy(update={"model": sized_model(spec, 257)})
        fixed[name] = count_weights(study, sized)
        assert trial_memory(study, sized, slots=1).fixed_bytes > 560 * MIB  # the libraries count, too
    base = fixed["all"].all
    assert fixed["all"].learning == base
    assert fixed["adapters"].learning == fixed["adapters"].all - base
    assert fixed["adapters"].learning == 2 * (fixed["both"].all - base)
    assert fixed["both"].learning == fixed["both"].all


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("qwen3", _NETWORK | {"intermediate_size": 352, "num_key_value_heads": 2, "head_dim": 32}),
        ("gpt2", {"n_embd": 128, "n_layer": 4, "n_head": 4}),
        ("bert", _NETWORK | {"intermediate_size": 512}),
        ("modernbert", _NETWORK | {"intermediate_size": 192}),
    ],
)
def test_what_other_architectures_keep_is_within_a_fifth(planned, architecture, config):
    study, setup = planned
    spec = ArchitectureSpec(architecture=architecture, config=config, context=32)
    sized = sized_model(spec, 64)
    model = build_model(sized, 64, seed=0)
    setup = setup.model_copy(update={"model": sized, "vocab_size": 64})
    predicted = trial_memory(study.model_copy(update={"model": spec}), setup, slots=1).sequence_bytes
    kept = kept_floats(model, torch.arange(spec.context)[None])
    assert predicted / 4 / spec.context - 3 * 64 == pytest.approx(kept, rel=0.2)


def test_the_library_of_a_model_takes_memory_too(planned):
    study, setup = planned
    spec = ArchitectureSpec(architecture="gpt2", config={"n_embd": 8, "n_layer": 1, "n_head": 1}, context=32)
    foreign = setup.model_copy(update={"model": sized_model(spec, 64), "vocab_size": 64})
    assert 550 * MIB < trial_memory(study, foreign, slots=1).fixed_bytes < 570 * MIB
    assert 400 * MIB < trial_memory(study, setup, slots=1).fixed_bytes < 410 * MIB


@pytest.mark.slow
def test_the_memory_of_a_real_trial_is_predicted_within_a_fifth():
    command = [sys.executable, "-m", "benchmarks.trial_memory", "--case", "decoder"]
    root = Path(__file__).parents[3]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert 0.8 < float(told.splitlines()[-1].split("|")[-2]) < 1.2


def kept_floats(model, ids):
    """Floats a token that the backward pass of a model keeps behind its scores, weights and scores aside."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found = {}

    def note(tensor):
        found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        scores = model(ids)
    assert scores.requires_grad
    kept = sum(one.untyped_storage().nbytes() for place, one in found.items() if place not in weights)
    return kept / 4 / ids.numel()


def test_a_model_that_cannot_fit_is_refused_before_it_is_built(planned, tmp_path, monkeypatch):
    from mbo_search.data.prepare import prepare
    from mbo_search.train.setup import probe, resolve

    study, _ = planned
    (tmp_path / "texts").mkdir()
    for number in range(200):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"document {number} of some words that are long enough")
    data = study.data.model_copy(update={"source": (str(tmp_path / "texts"),), "validation_share": 0.2})
    evaluation = study.evaluation.model_copy(update={"tokens": 64})
    study = study.model_copy(update={"data": data, "evaluation": evaluation})
    prepared = prepare(study.data, tmp_path / "cache")
    monkeypatch.setattr(module, "memory_bytes", lambda: 100 * MIB)
    monkeypatch.setattr(probe, "choose_arithmetic", lambda *args, **kwargs: pytest.fail("the model was built"))
    with pytest.raises(StudyError, match="of memory a trial"):
        resolve.resolve_setup(study, prepared, 1)
