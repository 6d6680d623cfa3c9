"""Proves that the stage store gives back exactly what it was given or says that it cannot.

Damage of every kind is found, several processes may write, read and collect at once, and a full or read-only disk
is an error that leaves the state where it was.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from mbo_search.errors import StoreError
from mbo_search.store.eviction import keeping_value
from mbo_search.store.local import StageStore
from mbo_search.store.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from tests.store.nodes import STATE_BYTES, WINDOWS, key_of, report_of, state_of


def store_at(root: Path, limit_bytes: int | None = None) -> StageStore:
    return StageStore(root / "stages", limit_bytes, WINDOWS)


def committed(root: Path, number: int, **settings: float) -> StageStore:
    store = store_at(root)
    store.commit(key_of(number), state_of(root / f"scratch-{number}", number), report_of(number, **settings))
    return store


def test_a_node_comes_back_as_it_was_given(tmp_path: Path) -> None:
    store = committed(tmp_path, 1)
    found = store_at(tmp_path).load(key_of(1))
    assert found.report == report_of(1)
    assert json.loads((found.node.path / "state.json").read_text()) == {"number": 1}
    assert found.node.path == tmp_path / "stages" / key_of(1)[:2] / key_of(1)
    assert not (tmp_path / "scratch-1").exists()
    assert store.has(key_of(1))
    assert not store.has(key_of(2))


def test_an_existing_node_wins_and_the_newcomer_is_removed(tmp_path: Path) -> None:
    store = committed(tmp_path, 1)
    before = (store.load(key_of(1)).node.path / "weights.bin").stat().st_ino
    store.commit(key_of(1), state_of(tmp_path / "again", 1), report_of(5))
    found = store.load(key_of(1))
    assert (found.node.path / "weights.bin").stat().st_ino == before
    assert found.report == report_of(1)
    assert not (tmp_path / "again").exists()


def test_a_report_that_says_more_joins_an_existing_node(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.commit(key_of(1), state_of(tmp_path / "a", 1), report_of(1, evaluated=False))
    assert store.load(key_of(1)).report.metrics is None
    store.commit(key_of(1), state_of(tmp_path / "b", 1), report_of(1))
    assert store.load(key_of(1)).report == report_of(1)
    store.commit(key_of(1), state_of(tmp_path / "c", 1), report_of(1, evaluated=False))
    assert store.load(key_of(1)).report == report_of(1)


def test_reports_on_other_windows_are_not_seen_but_kept(tmp_path: Path) -> None:
    first = committed(tmp_path, 1)
    second = StageStore(tmp_path / "stages", None, "v" * 64)
    assert not second.has(key_of(1))
    second.commit(key_of(1), state_of(tmp_path / "b", 1), report_of(9))
    assert second.load(key_of(1)).report == report_of(9)
    assert first.load(key_of(1)).report == report_of(1)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def change_the_loss(path: Path) -> None:
    path.write_text(path.read_text().replace("2.3333333333333335", "1.3333333333333335"))


def swap_with_another_node(path: Path) -> None:
    document = path.read_text()
    path.write_text(document.replace(key_of(1), key_of(2)))


DAMAGE = {
    "flipped bit": lambda folder: flip_a_bit(folder / "weights.bin"),
    "truncated": lambda folder: os.truncate(folder / "weights.bin", 10),
    "grown": lambda folder: os.truncate(folder / "weights.bin", 5000),
    "missing file": lambda folder: (folder / "state.json").unlink(),
    "foreign file": lambda folder: (folder / "extra").write_text("x"),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
    "empty manifest": lambda folder: (folder / MANIFEST).write_text(""),
    "manifest is a list": lambda folder: (folder / MANIFEST).write_text("[]"),
    "manifest is not text": lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe\x00"),
    "changed loss": lambda folder: change_the_loss(folder / MANIFEST),
    "another node's manifest": lambda folder: swap_with_another_node(folder / MANIFEST),
    "link to a file elsewhere": lambda folder: (
        (folder / "weights.bin").rename(folder.parent / "elsewhere"),
        (folder / "weights.bin").symlink_to(folder.parent / "elsewhere"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_the_node_dropped(tmp_path: Path, damage: str) -> None:
    store = committed(tmp_path, 1)
    folder = store.load(key_of(1)).node.path
    DAMAGE[damage](folder)
    with pytest.raises(StoreError, match="damaged and was dropped"):
        store.load(key_of(1))
    assert not folder.exists()
    assert not store.has(key_of(1))
    store.commit(key_of(1), state_of(tmp_path / "again", 1), report_of(1))
    assert store.load(key_of(1)).report == report_of(1)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_sound_newcomer_replaces_a_damaged_node(tmp_path: Path, damage: str) -> None:
    store = committed(tmp_path, 1)
    DAMAGE[damage](store.load(key_of(1)).node.path)
    node = store.commit(key_of(1), state_of(tmp_path / "again", 1), report_of(1))
    assert store_at(tmp_path).load(key_of(1)).node == node


def test_a_missing_node_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        store_at(tmp_path).load(key_of(1))


def test_only_folders_of_plain_files_are_states(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="at least one file"):
        store.commit(key_of(1), tmp_path / "empty", report_of(1))
    linked = state_of(tmp_path / "linked", 1)
    (linked / "inner").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="plain files only"):
        store.commit(key_of(1), linked, report_of(1))
    with pytest.raises(StoreError, match="cannot be kept"):
        store.commit(key_of(1), tmp_path / "absent", report_of(1))


def test_a_result_that_is_not_finite_is_never_kept(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        store.commit(key_of(1), state_of(tmp_path / "a", 1), report_of(float("inf")))
    assert not store.has(key_of(1))


def test_a_store_that_cannot_be_written_is_an_error_that_leaves_the_state(tmp_path: Path) -> None:
    (tmp_path / "stages").write_text("a file where the folder should be")
    state = state_of(tmp_path / "a", 1)
    with pytest.raises(StoreError, match="cannot be kept"):
        store_at(tmp_path).commit(key_of(1), state, report_of(1))
    assert json.loads((state / "state.json").read_text()) == {"number": 1}
    assert store_at(tmp_path).size_bytes() == 0


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_local import *
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    store_at(Path(sys.argv[2])).commit(key_of(1), Path(sys.argv[2]) / "a", report_of(1))
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_an_error_that_leaves_the_state(tmp_path: Path) -> None:
    state = state_of(tmp_path / "a", 1)
    arguments = [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(tmp_path)]
    said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert "cannot be kept" in said
    assert "File too large" in said
    assert sorted(path.name for path in state.iterdir()) == ["state.json", "weights.bin"]
    assert not store_at(tmp_path).has(key_of(1))


def test_a_state_on_another_file_system_is_copied(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") / f"mbo-search-test-{os.getpid()}"
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    try:
        state = state_of(elsewhere / "a", 1)
        store = store_at(tmp_path)
        store.commit(key_of(1), state, report_of(1))
        assert store.load(key_of(1)).report == report_of(1)
        assert not state.exists()
        assert [path.name for path in (tmp_path / "stages" / key_of(1)[:2]).iterdir()] == [key_of(1)]
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


def aged(store: StageStore, number: int, hours: float) -> None:
    folder = store.load(key_of(number)).node.path
    then = time.time() - 3600 * hours
    os.utime(folder / MANIFEST, (then, then))


def test_collecting_keeps_what_saves_most_seconds_per_byte(tmp_path: Path) -> None:
    for number in range(6):
        committed(tmp_path, number, seconds=float(number + 1)).release()
    store = store_at(tmp_path, limit_bytes=3 * STATE_BYTES)
    assert store.size_bytes() == 6 * STATE_BYTES
    assert store.collect() == 3 * STATE_BYTES
    assert [store.has(key_of(number)) for number in range(6)] == [False, False, False, True, True, True]
    assert store.collect() == 0


def test_collecting_prefers_what_was_asked_for_lately(tmp_path: Path) -> None:
    for number in range(4):
        committed(tmp_path, number).release()
    store = store_at(tmp_path, limit_bytes=2 * STATE_BYTES)
    for number, hours in enumerate((5.0, 9.0, 2.0, 7.0)):
        aged(store, number, hours)
    store.release()
    store.load(key_of(1))
    store.release()
    store.collect()
    assert [store.has(key_of(number)) for number in range(4)] == [False, True, True, False]


def test_protected_nodes_and_nodes_in_use_are_never_collected(tmp_path: Path) -> None:
    for number in range(4):
        committed(tmp_path, number).release()
    store = store_at(tmp_path, limit_bytes=0)
    store.protect([key_of(0)])
    user = store_at(tmp_path)
    user.load(key_of(1))
    writer = store_at(tmp_path)
    writer.commit(key_of(9), state_of(tmp_path / "nine", 9), report_of(9))
    store.collect()
    assert [store.has(key_of(number)) for number in (0, 1, 2, 3, 9)] == [True, True, False, False, True]
    user.release()
    writer.release()
    store.protect([])
    store.collect()
    assert store.size_bytes() == 0


def test_a_store_without_a_limit_collects_nothing(tmp_path: Path) -> None:
    committed(tmp_path, 1).release()
    assert store_at(tmp_path).collect() == 0


def test_collecting_removes_damaged_nodes_first_and_what_dead_writers_left(tmp_path: Path) -> None:
    for number in range(2):
        committed(tmp_path, number).release()
    store = store_at(tmp_path, limit_bytes=STATE_BYTES)
    folder = store.load(key_of(1)).node.path
    store.release()
    (folder / MANIFEST).write_text("{")
    leftover = folder.parent / f".{key_of(3)}.1-{16 * 'a'}"
    leftover.mkdir()
    os.utime(leftover, (0, 0))
    fresh = folder.parent / f".{key_of(4)}.1-{16 * 'b'}"
    fresh.mkdir()
    store.collect()
    assert store.has(key_of(0))
    assert not folder.exists()
    assert not leftover.exists()
    assert fresh.exists()


def test_what_is_likely_to_be_used_stays_and_what_is_not_goes(tmp_path: Path) -> None:
    for number in range(4):
        committed(tmp_path, number, seconds=10.0).release()
    store = store_at(tmp_path, limit_bytes=2 * STATE_BYTES + 100)
    store.expect({key_of(0): 0.02, key_of(1): 7.0, key_of(2): 0.02, key_of(3): 3.0})
    store.protect([key_of(2)])
    store.collect()
    assert [store.has(key_of(number)) for number in range(4)] == [False, True, True, False]


def test_manifests_are_read_once_and_again_when_they_were_replaced(tmp_path: Path, monkeypatch) -> None:
    for number in range(4):
        committed(tmp_path, number, seconds=1.0).release()
    store = store_at(tmp_path, limit_bytes=4 * STATE_BYTES)
    read: list[str] = []

    def noting(folder: Path, key: str) -> Manifest:
        read.append(key)
        return read_manifest(folder, key)

    monkeypatch.setattr("mbo_search.store.local.read_manifest", noting)
    assert (store.collect(), len(read)) == (0, 4)
    assert (store.collect(), len(read)) == (0, 4)
    store_at(tmp_path).commit(key_of(9), state_of(tmp_path / "nine", 9), report_of(9, seconds=9.0))
    folder = tmp_path / "stages" / key_of(2)[:2] / key_of(2)
    manifest = read_manifest(folder, key_of(2)).model_copy(update={"seconds": 0.5})
    write_manifest(folder, manifest)
    assert store.collect() == STATE_BYTES
    assert sorted(read[4:]) == sorted([key_of(2), key_of(9)])
    assert [store.has(key_of(number)) for number in (0, 1, 2, 3, 9)] == [True, True, False, True, True]


def test_keeping_value_falls_with_bytes_and_idle_time() -> None:
    base = keeping_value(seconds=10.0, size_bytes=100, idle_seconds=0.0)
    assert keeping_value(seconds=20.0, size_bytes=100, idle_seconds=0.0) == 2 * base
    assert keeping_value(seconds=10.0, size_bytes=200, idle_seconds=0.0) == base / 2
    assert keeping_value(seconds=10.0, size_bytes=100, idle_seconds=3600.0) == base / 2
    assert keeping_value(seconds=10.0, size_bytes=100, idle_seconds=0.0, expected_uses=5.0) == 5 * base


def write_read_collect(root: Path, worker: int) -> tuple[int, int]:
    """Commit, load and collect the same few nodes as everybody else; count good and dropped reads."""
    store = store_at(root, limit_bytes=4 * STATE_BYTES)
    read = missed = 0
    for turn in range(60):
        number = (turn * 7 + worker * 3) % 8
        store.commit(key_of(number), state_of(root / f"s-{worker}-{turn}", number), report_of(number))
        other = (turn * 5 + worker) % 8
        try:
            found = store.load(key_of(other))
        except StoreError as error:
            if "damaged" in str(error):
                raise
            missed += 1
        else:
            content = (found.node.path / "weights.bin").read_bytes()
            assert content == str(other).encode() * 1000
            assert found.report == report_of(other)
            read += 1
        if turn % 3 == 0:
            store.release()
            store.collect()
    store.release()
    return read, missed


def test_many_processes_write_read_and_collect_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        counts = list(pool.map(write_read_collect, [tmp_path] * 4, range(4)))
    assert sum(read for read, _ in counts) > 60
    store = store_at(tmp_path, limit_bytes=4 * STATE_BYTES)
    store.collect()
    assert 0 < store.size_bytes() <= 4 * STATE_BYTES
    assert sum(1 for path in (tmp_path / "stages").glob("*/.*")) == 0


HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_local import *
kept = store_at(Path(sys.argv[2]))
kept.load(key_of(1))
print("held", flush=True)
time.sleep(60)
"""


def test_a_node_in_use_by_another_process_stays_until_that_process_dies(tmp_path: Path) -> None:
    committed(tmp_path, 1).release()
    collector = store_at(tmp_path, limit_bytes=0)
    arguments = [sys.executable, "-c", HOLDER, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"held\n"
        collector.collect()
        assert collector.has(key_of(1))
        user.kill()
        user.wait()
    collector.collect()
    assert not collector.has(key_of(1))
