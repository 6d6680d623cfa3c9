"""A continuation depends on the weights, the prompt and the seed alone, wherever the weights lie."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import RunDirectoryError, UserError
from mbo_search.export.final import train_final
from mbo_search.export.generate import generate
from mbo_search.export.sample import load_trial, sample
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def model_folder(run, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("sample") / "model"
    train_final(load_schedule_file(run.best_yaml), out, cache=cache)
    return out


def test_run_directory_its_best_file_and_the_final_model_say_the_same(run, model_folder):
    texts = {sample(source, "the schedule", num_tokens=30) for source in (run.path, run.best_yaml, model_folder)}
    assert len(texts) == 1
    assert texts.pop()


def test_the_seed_decides_and_zero_temperature_needs_none(run):
    texts = [sample(run.path, "the", num_tokens=40, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    greedy = {sample(run.path, "the", num_tokens=40, temperature=0.0, seed=seed) for seed in (1, 2)}
    assert len(greedy) == 1


def test_greedy_continuation_takes_the_likeliest_token_in_a_sliding_window(run):
    import torch

    model, tokenizer = load_trial(run, 0)
    ids = tokenizer.encode("a warm stage trains the loss slowly and then some")
    assert len(ids) > model.spec.context
    [token] = generate(model, ids, num_tokens=1, temperature=0.0, seed=0, eos_id=-1)
    window = torch.tensor([ids[-model.spec.context :]])
    assert token == int(model(window)[0, -1].argmax())


def test_it_stops_at_the_end_of_a_document(run):
    model, tokenizer = load_trial(run, 0)
    ids = tokenizer.encode("the")
    free = generate(model, ids, num_tokens=20, temperature=1.0, seed=4, eos_id=-1)
    stopped = generate(model, ids, num_tokens=20, temperature=1.0, seed=4, eos_id=free[5])
    assert stopped == free[: free.index(free[5])]


def test_an_empty_prompt_begins_a_document(run):
    assert isinstance(sample(run.path, "", num_tokens=5), str)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(prompt=st.text(max_size=30))
def test_any_prompt_is_continued(run, prompt):
    assert isinstance(sample(run.path, prompt, num_tokens=3), str)


def test_a_prompt_of_other_bytes_is_a_user_error(run):
    with pytest.raises(UserError, match=r"prompt: caf\\xe9 holds a byte or character that is not valid UTF-8"):
        sample(run.path, os.fsdecode(b"caf\xe9"))


def test_weights_that_are_no_longer_kept_are_named_with_the_way_out(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    shutil.rmtree(copy / "stages")
    with pytest.raises(RunDirectoryError, match=r"no longer keeps the weights .*mbo-search train"):
        sample(copy, "the")


def test_places_without_a_model_are_user_errors(run, tmp_path):
    lonely = tmp_path / "best.yaml"
    lonely.write_text(run.best_yaml.read_text())
    with pytest.raises(RunDirectoryError, match="is a schedule without weights"):
        sample(lonely, "the")
    with pytest.raises(RunDirectoryError, match="does not exist"):
        sample(tmp_path / "nowhere", "the")
    with pytest.raises(RunDirectoryError, match="no complete schedule #77"):
        load_trial(RunDirectory(run.path), 77)
    with pytest.raises(UserError):
        sample(build_run(tmp_path / "built", num_trials=3).path, "the")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"num_tokens": 0}, "num_tokens: 0 must lie"),
        ({"num_tokens": 10**9}, "num_tokens"),
        ({"temperature": -1.0}, "temperature: -1.0 must be"),
        ({"temperature": float("nan")}, "temperature"),
    ],
)
def test_numbers_out_of_range_are_user_errors(run, numbers, words):
    with pytest.raises(UserError, match=words):
        sample(run.path, "the", **numbers)
