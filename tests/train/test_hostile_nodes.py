"""Proves that a node of a stranger is a state of this model or a StoreError, whatever its bytes say.

Manifests, state files and tensor files are changed at random places; headers that lie about sizes and shapes are
refused before any memory is allocated for what they claim.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import struct
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import StoreError
from mbo_search.model.decoder import build_decoder
from mbo_search.store.local import StageStore
from mbo_search.store.manifest import MANIFEST, read_manifest
from mbo_search.system.files import read_json
from mbo_search.testing.toy_runner import ToyRunner, path_of
from mbo_search.train.execution.execute import execute
from mbo_search.train.saved_state import load_state
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import TrainState
from tests.helpers.damage import changed_somewhere
from tests.helpers.schedules import constant_then_linear
from tests.train.builder import differing, read_state
from tests.train.test_saved_state import trained

FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
MANY_BYTES = 64 * 2**20

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=8,
)
steps = st.lists(st.integers(min_value=0, max_value=30), max_size=8)
"""Where to go at each level of a JSON document, counted round."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that one toy schedule has filled."""
    root = tmp_path_factory.mktemp("toy")
    store = StageStore(root / "stages", None, "w" * 64)
    path = path_of(constant_then_linear(0.6))
    outcome = execute(
        path,
        ToyRunner(root / "scratch"),
        store,
        stop=lambda: False,
        on_boundary=lambda _: False,
        log=lambda _: None,
    )
    assert outcome.state == "complete"
    return root / "stages"


def signed(body: object) -> str:
    """A manifest whose checksum fits: a stranger can compute it, too."""
    digest = sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return json.dumps({"body": body, "sha256": digest})


@FUZZ
@given(way=steps, value=json_values)
def test_a_trial_on_a_lying_manifest_ends_as_a_trial_does(
    stored: Path, tmp_path_factory: pytest.TempPathFactory, way: list[int], value: object
) -> None:
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(stored, root / "stages")
    manifest = next(iter((root / "stages").glob(f"*/*/{MANIFEST}")))
    body = changed_somewhere(json.loads(manifest.read_text())["body"], way, value)
    manifest.write_text(signed(body))
    store = StageStore(root / "stages", 1, "w" * 64)
    runner = ToyRunner(root / "scratch")
    outcome = execute(
        path_of(constant_then_linear(0.6)),
        runner,
        store,
        stop=lambda: False,
        on_boundary=lambda _: False,
        log=lambda _: None,
    )
    assert outcome.state in ("complete", "failed")
    assert all(math.isfinite(boundary.loss) for boundary in outcome.boundaries)
    store.collect()
    shutil.rmtree(root)


def test_a_manifest_that_is_a_pipe_a_link_or_endless_is_refused_without_waiting(tmp_path: Path) -> None:
    for name, make in {
        "pipe": os.mkfifo,
        "zero": lambda path: path.symlink_to("/dev/zero"),
        "folder": Path.mkdir,
        "nested": lambda path: path.write_text("[" * 100_000),
        "huge": lambda path: path.write_bytes(b" " * 17 * 2**20),
        "infinite": lambda path: path.write_text(signed({"seconds": 1.0}).replace("1.0", "1e999")),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder / MANIFEST)
        with pytest.raises((StoreError, OSError)):
            read_manifest(folder, "a" * 64)


@pytest.fixture(scope="module")
def state(setup: TrainSetup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real state in the middle of a stage."""
    return trained(setup, tmp_path_factory.mktemp("state"))[0]


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def loaded_or_refused(setup: TrainSetup, state: Path, root: Path, name: str, content: bytes) -> TrainState | None:
    """Load a copy of a state with one file replaced, within a bound of memory; None if it is refused."""
    folder = root / "copy"
    shutil.copytree(state, folder)
    (folder / name).write_bytes(content)
    before = peak_bytes()
    loaded = None
    try:
        with suppress(StoreError):
            loaded = load_state(folder, setup)
        assert peak_bytes() - before < MANY_BYTES
    finally:
        shutil.rmtree(folder)
    return loaded


def is_of_this_model(loaded: TrainState, setup: TrainSetup) -> bool:
    """Whether a state that was let in has the tensors of the model, each of its own shape and type."""
    model = build_decoder(setup.model, setup.vocab_size, seed=0)
    wanted, found = (
        {name: (tensor.shape, tensor.dtype) for name, tensor in one.state_dict().items()}
        for one in (model, loaded.model)
    )
    return wanted == found


@FUZZ
@given(way=steps, value=json_values)
def test_a_state_with_any_value_anywhere_is_read_or_refused(
    setup: TrainSetup, state: Path, tmp_path: Path, way: list[int], value: object
) -> None:
    content = json.dumps(changed_somewhere(json.loads((state / "state.json").read_text()), way, value))
    loaded = loaded_or_refused(setup, state, tmp_path, "state.json", content.encode())
    assert loaded is None or is_of_this_model(loaded, setup)


TENSOR_FILES = ("weights.safetensors", "optimizer.safetensors", "averages.safetensors")


@FUZZ
@given(name=st.sampled_from(TENSOR_FILES), position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_read_or_refused(
    setup: TrainSetup, state: Path, tmp_path: Path, name: str, position: int, bit: int
) -> None:
    content = bytearray((state / name).read_bytes())
    header = 8 + struct.unpack("<Q", content[:8])[0]
    content[position % header] ^= 1 << bit
    loaded = loaded_or_refused(setup, state, tmp_path, name, bytes(content))
    assert loaded is None or is_of_this_model(loaded, setup)


@FUZZ
@given(name=st.sampled_from(TENSOR_FILES), length=st.integers(min_value=0))
def test_a_truncated_file_is_refused(
    setup: TrainSetup, state: Path, tmp_path: Path, name: str, length: int
) -> None:
    content = (state / name).read_bytes()
    (tmp_path / "short").write_bytes(content[: length % len(content)])
    copy = tmp_path / "copy"
    shutil.copytree(state, copy)
    (copy / name).write_bytes((tmp_path / "short").read_bytes())
    with pytest.raises(StoreError):
        load_state(copy, setup)
    shutil.rmtree(copy)


@FUZZ
@given(name=st.sampled_from(TENSOR_FILES), way=steps, value=json_values)
def test_a_header_with_any_value_anywhere_is_read_or_refused(
    setup: TrainSetup, state: Path, tmp_path: Path, name: str, way: list[int], value: object
) -> None:
    content = (state / name).read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.dumps(changed_somewhere(json.loads(content[8:end]), way, value)).encode()
    lying = struct.pack("<Q", len(header)) + header + content[end:]
    loaded = loaded_or_refused(setup, state, tmp_path, name, lying)
    assert loaded is None or is_of_this_model(loaded, setup)


@pytest.mark.parametrize("shape", [[2**40], [2**32, 2**32], [-1], [2**63], [0], []])
@pytest.mark.parametrize("offsets", [[0, 2**60], [0, 4], [2**62, 2**63]])
def test_a_header_that_claims_the_moon_is_refused_at_once(
    setup: TrainSetup, state: Path, tmp_path: Path, shape: list[int], offsets: list[int]
) -> None:
    header = json.dumps({"model.norm.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    for length in (len(header), 2**63, 2**31):
        lying = struct.pack("<Q", length) + header + b"\0\0\0\0"
        assert loaded_or_refused(setup, state, tmp_path, "weights.safetensors", lying) is None


def test_a_file_larger_than_the_model_takes_no_memory(setup: TrainSetup, state: Path, tmp_path: Path) -> None:
    """A sparse file of eight terabytes whose header is in order, but names no tensor of the model."""
    num_bytes = 8 * 2**40
    header = json.dumps(
        {"model.norm.weight": {"dtype": "F32", "shape": [num_bytes // 4], "data_offsets": [0, num_bytes]}}
    ).encode()
    copy = tmp_path / "copy"
    shutil.copytree(state, copy)
    with (copy / "weights.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + num_bytes)
    with pytest.raises(StoreError, match=r"of another shape|unreadable"):
        load_state(copy, setup)


def test_a_sound_state_still_comes_back(setup: TrainSetup, state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(state, copy)
    loaded = load_state(copy, setup)
    assert loaded.step == read_json(copy / "state.json")["step"]
    assert differing(read_state(state), read_state(copy)) == []
