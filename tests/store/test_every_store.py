"""Proves that every stage store behaves the same: a folder, a remote one on a mounted disk, and S3.

The S3 server is a real one from a Python package. Besides the common suite: nothing is visible before its manifest,
a hostile store cannot write outside its folder, and no credentials appear anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import pytest

from mbo_search.errors import StoreError, UserError
from mbo_search.store.manifest import MANIFEST
from mbo_search.store.node_store import NodeStore
from mbo_search.store.open_store import open_node_store
from mbo_search.store.remote import RemoteStageStore
from mbo_search.system.object_storage import ObjectFolder
from tests.helpers.s3 import CREDENTIALS, SECRET, s3_server, s3_url
from tests.store.nodes import STATE_BYTES, WINDOWS, key_of, report_of, state_of


@dataclass
class Place:
    """Where stores of one kind are opened: each machine has its own local folder, the store is one.

    Attributes:
        folder: Scratch of the test.
        url: The store; None for a folder of its own.
        objects: The objects of a remote store; None for a plain folder.
    """

    folder: Path
    url: str | None
    objects: ObjectFolder | None

    def open(self, machine: str = "a", limit_bytes: int | None = None, windows: str = WINDOWS) -> NodeStore:
        if self.objects is not None:
            return RemoteStageStore(
                self.objects,
                self.folder / machine,
                limit_bytes=limit_bytes,
                local_limit_bytes=None,
                windows_fingerprint=windows,
            )
        return open_node_store(
            self.folder / "own", url=self.url, limit_bytes=limit_bytes, windows_fingerprint=windows
        )

    def commit(self, number: int, machine: str = "a", **settings) -> NodeStore:
        store = self.open(machine)
        state = state_of(self.folder / f"scratch-{token_hex(4)}", number)
        store.commit(key_of(number), state, report_of(number, **settings))
        return store

    def damage(self, number: int, name: str, change: Callable[[bytes], bytes | None]) -> None:
        """Change or remove a stored file of a node, without the store."""
        key = key_of(number)
        if self.objects is None:
            path = self.root / key[:2] / key / name
            content = change(path.read_bytes())
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            return
        folder = f"nodes/{key[:2]}/{key}"
        stored = name if name == MANIFEST else self.manifest(number)["body"]["files"][name]["sha256"]
        content = change(self.read(f"{folder}/{stored}"))
        self.objects.remove([f"{folder}/{stored}"])
        if content is not None:
            self.objects.put(f"{folder}/{stored}", content)

    @property
    def root(self) -> Path:
        return self.folder / "own" if self.url is None else self.folder / "shared" / "stages"

    def manifest(self, number: int) -> dict:
        key = key_of(number)
        return json.loads(self.read(f"nodes/{key[:2]}/{key}/{MANIFEST}"))

    def read(self, name: str) -> bytes:
        target = self.folder / f"read-{token_hex(4)}"
        self.objects.get(name, target, most_bytes=10**6)
        return target.read_bytes()


@pytest.fixture(scope="module")
def s3_place() -> Iterator[str]:
    with s3_server() as place:
        yield place


KINDS = ["folder", "shared", "remote", pytest.param("s3", marks=pytest.mark.cluster)]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return Place(tmp_path, None, None)
    if request.param == "shared":
        return Place(tmp_path, (tmp_path / "shared").as_uri(), None)
    if request.param == "remote":
        return Place(tmp_path, None, ObjectFolder.at((tmp_path / "far").as_uri()))
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url = s3_url(request.getfixturevalue("s3_place"), f"stages/{tmp_path.name}")
    return Place(tmp_path, url, ObjectFolder.at(url))


def test_a_node_comes_back_as_it_was_given_on_any_machine(place):
    place.commit(1)
    for machine in ("a", "b"):
        store = place.open(machine)
        assert store.has(key_of(1))
        assert not store.has(key_of(2))
        found = store.load(key_of(1))
        assert found.report == report_of(1)
        assert found.node.key == key_of(1)
        assert (found.node.path / "weights.bin").read_bytes() == b"1" * 1000
        assert json.loads((found.node.path / "state.json").read_text()) == {"number": 1}


def test_committing_takes_the_state_over_and_twice_is_once(place):
    store = place.commit(1)
    place.commit(1, "b")
    assert list(place.folder.glob("scratch-*")) == []
    assert store.size_bytes() == STATE_BYTES
    assert place.open("c").load(key_of(1)).report == report_of(1)


def test_a_report_that_says_more_joins_an_existing_node(place):
    place.commit(1, evaluated=False)
    assert place.open("x").load(key_of(1)).report.metrics is None
    place.commit(1, "b")
    assert place.open("y").load(key_of(1)).report == report_of(1)
    place.commit(1, "c", evaluated=False)
    assert place.open("z").load(key_of(1)).report == report_of(1)


def test_reports_on_other_windows_are_not_seen_but_kept(place):
    place.commit(1)
    other = place.open("b", windows="v" * 64)
    assert not other.has(key_of(1))
    with pytest.raises(StoreError, match="cannot be read"):
        other.load(key_of(1))
    other.commit(key_of(1), state_of(place.folder / "scratch-other", 1), report_of(9))
    assert place.open("c", windows="v" * 64).load(key_of(1)).report == report_of(9)
    assert place.open("d").load(key_of(1)).report == report_of(1)


@pytest.mark.parametrize(
    "key", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n", "g" * 64, "/" + "a" * 63]
)
def test_what_is_no_key_never_becomes_a_path(place, key):
    store = place.open()
    state = state_of(place.folder / "state", 1)
    for attempt in (
        lambda: store.has(key),
        lambda: store.load(key),
        lambda: store.commit(key, state, report_of(1)),
    ):
        with pytest.raises(StoreError, match="is not a key"):
            attempt()
    assert state.is_dir()


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


DAMAGE = {
    "flipped bit": ("weights.bin", flip),
    "truncated": ("weights.bin", lambda content: content[:10]),
    "grown": ("weights.bin", lambda content: content * 2),
    "missing file": ("state.json", lambda content: None),
    "empty manifest": (MANIFEST, lambda content: b""),
    "manifest is a list": (MANIFEST, lambda content: b"[]"),
    "manifest is not text": (MANIFEST, lambda content: b"\xff\xfe\x00"),
    "changed loss": (MANIFEST, lambda content: content.replace(b"2.3333333333333335", b"1.3333333333333335")),
    "another node's manifest": (MANIFEST, lambda content: content.replace(key_of(1).encode(), key_of(2).encode())),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_the_node_dropped_and_trained_again(place, damage):
    place.commit(1)
    place.damage(1, *DAMAGE[damage])
    fresh = place.open("b")
    with pytest.raises(StoreError, match="damaged and was dropped"):
        fresh.load(key_of(1))
    assert not place.open("c").has(key_of(1))
    place.commit(1, "d")
    assert place.open("e").load(key_of(1)).report == report_of(1)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_sound_newcomer_replaces_a_damaged_node(place, damage):
    place.commit(1)
    place.damage(1, *DAMAGE[damage])
    place.commit(1, "b")
    assert place.open("c").load(key_of(1)).report == report_of(1)


def test_a_missing_node_is_a_store_error(place):
    with pytest.raises(StoreError, match="cannot be read"):
        place.open().load(key_of(1))


def test_only_folders_of_plain_files_are_states(place):
    store = place.open()
    (place.folder / "empty").mkdir()
    with pytest.raises(StoreError, match="at least one file"):
        store.commit(key_of(1), place.folder / "empty", report_of(1))
    linked = state_of(place.folder / "linked", 1)
    (linked / "inner").symlink_to(place.folder)
    with pytest.raises(StoreError, match="plain files only"):
        store.commit(key_of(1), linked, report_of(1))
    assert not place.open("b").has(key_of(1))


def test_a_state_may_hold_folders(place):
    nested = state_of(place.folder / "nested", 1)
    (nested / "ranks" / "0").mkdir(parents=True)
    (nested / "ranks" / "0" / "part.bin").write_bytes(b"part")
    place.open().commit(key_of(1), nested, report_of(1))
    found = place.open("b").load(key_of(1)).node.path
    assert (found / "ranks" / "0" / "part.bin").read_bytes() == b"part"


def test_collecting_keeps_what_saves_most_seconds_per_byte(place):
    for number in range(6):
        place.commit(number, seconds=float(number + 1)).release()
    store = place.open("b", limit_bytes=3 * STATE_BYTES)
    assert store.size_bytes() == 6 * STATE_BYTES
    assert store.collect() == 3 * STATE_BYTES
    fresh = place.open("c")
    assert [fresh.has(key_of(number)) for number in range(6)] == [False, False, False, True, True, True]
    assert store.collect() == 0


def test_protected_nodes_stay_and_what_is_in_use_stays_readable(place):
    for number in range(3):
        place.commit(number).release()
    user = place.open("user")
    in_use = user.load(key_of(1)).node.path
    store = place.open("b", limit_bytes=0)
    store.protect([key_of(0)])
    store.collect()
    fresh = place.open("c")
    assert (fresh.has(key_of(0)), fresh.has(key_of(2))) == (True, False)
    assert (in_use / "weights.bin").read_bytes() == b"1" * 1000
    user.release()
    store.protect([])
    store.collect()
    assert store.size_bytes() == 0


def test_a_store_without_a_limit_collects_nothing(place):
    place.commit(1).release()
    assert place.open("b").collect() == 0


@pytest.fixture(params=["remote", pytest.param("s3", marks=pytest.mark.cluster)])
def remote(request, tmp_path, monkeypatch) -> Place:
    if request.param == "remote":
        return Place(tmp_path, None, ObjectFolder.at((tmp_path / "far").as_uri()))
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url = s3_url(request.getfixturevalue("s3_place"), f"remote/{tmp_path.name}")
    return Place(tmp_path, url, ObjectFolder.at(url))


def test_a_node_without_its_manifest_is_not_there(remote):
    state = state_of(remote.folder / "state", 1)
    key = key_of(1)
    remote.objects.put(f"nodes/{key[:2]}/{key}/{'a' * 64}", state / "weights.bin")
    store = remote.open(limit_bytes=0)
    assert not store.has(key)
    assert store.collect() == 0, "it may be on its way"


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", ".", MANIFEST + "/x", ""])
def test_a_hostile_manifest_cannot_write_outside_its_folder(remote, name):
    remote.commit(1)
    document = remote.manifest(1)
    document["body"]["files"][name] = document["body"]["files"].pop("weights.bin")
    text = json.dumps(document["body"], sort_keys=True)
    document["sha256"] = sha256(text.encode()).hexdigest()
    remote.damage(1, MANIFEST, lambda content: json.dumps(document).encode())
    with pytest.raises(StoreError, match="damaged and was dropped"):
        remote.open("b").load(key_of(1))
    assert not list(remote.folder.rglob("escaped"))


def test_a_damaged_copy_on_a_machine_is_fetched_again(remote):
    remote.commit(1)
    store = remote.open("b")
    path = store.load(key_of(1)).node.path
    store.release()
    (path / "weights.bin").write_bytes(b"x")
    assert (remote.open("b").load(key_of(1)).node.path / "weights.bin").read_bytes() == b"1" * 1000


@pytest.mark.cluster
def test_no_credentials_appear_in_nodes_messages_or_local_copies(remote, caplog):
    remote.commit(1)
    with pytest.raises(StoreError) as failure:
        remote.open("b").load(key_of(2))
    files = [path.read_bytes() for path in remote.folder.rglob("*") if path.is_file()]
    assert files
    assert SECRET.encode() not in b"".join(files)
    assert SECRET not in str(failure.value) + caplog.text


@pytest.mark.cluster
def test_a_store_that_does_not_answer_is_an_error_that_leaves_the_state(tmp_path, monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as place:
        gone = place
    store = Place(tmp_path, None, ObjectFolder.at(s3_url(gone, "x"))).open()
    state = state_of(tmp_path / "state", 1)
    assert not store.has(key_of(1))
    with pytest.raises(StoreError, match="cannot be kept"):
        store.commit(key_of(1), state, report_of(1))
    assert (state / "weights.bin").exists()
    assert store.collect() == 0


def test_a_url_of_no_known_kind_is_a_user_error():
    with pytest.raises(UserError, match="names no store"):
        ObjectFolder.at("nonsense://bucket/prefix")
