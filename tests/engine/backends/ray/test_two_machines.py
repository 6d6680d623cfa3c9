"""Proves on two machines with addresses of their own that workers need nothing of the driver's disk.

Each machine is a network namespace with a Ray node that asks for a token; data and nodes go through a real S3
server. The line between them is cut and restored, one machine is lost for good, and one in the middle of a stage.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.engine.tasks import read_tasks
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.testing.studies import tiny_study
from tests.helpers.machines import HEAD_ADDRESS, HEAD_PORT, TOKEN, missing, start_ray, two_machines
from tests.helpers.processes import ended_at_last, wait_for
from tests.helpers.s3 import CREDENTIALS, SECRET, s3_server, s3_url

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

RANDOM = ("search.searcher=random", "search.trials=8", "resources.workers=2", "control=0", "budget.tokens=40k")
"""Proposals that depend on the trial number alone."""

WITH_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}

DRIVER = """
import json, sys
from pathlib import Path
from mbo_search.errors import UserError
from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.engine.tasks import read_tasks
from mbo_search.study.files.study_file import load_study
study, out, cache, address, insist = sys.argv[1:]
cluster = Cluster(address=address, may_be_insecure=insist == "insist")
try:
    summary = run_study(load_study(Path(study)), Path(out), RunOptions(cache=Path(cache), cluster=cluster))
except UserError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({"complete": summary.num_complete}))
"""


LONG = (
    *("search.searcher=random", "search.trials=1", "resources.workers=1", "control=0", "baselines=[]"),
    *("budget.tokens=500k", "stages.0.share=0.25"),
)
"""One trial whose second stage takes so long that its state is sent to the store on the way."""

HASTY = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
}
"""Ray gives a machine up soon."""

SENT = """
import sys
from pathlib import Path
from mbo_search.system.object_storage import ObjectFolder
url, key, target = sys.argv[1:]
ObjectFolder.at(url).get(f"partial/{key}/latest", Path(target), most_bytes=100)
"""


@pytest.fixture
def folder():
    """A short folder: Ray's sockets lie deep below it."""
    made = Path(tempfile.mkdtemp(prefix="mt-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def machines(folder, tiny_root):
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    (folder / "driver").mkdir()
    with two_machines(folder, hidden=(folder / "driver", tiny_root)) as pair:
        yield pair


@pytest.fixture(scope="module")
def expected(tiny_root, tmp_path_factory):
    """The study in one process, to compare with."""
    out = tmp_path_factory.mktemp("expected") / "run"
    run_study(tiny_study(tiny_root, *RANDOM), out, RunOptions(cache=tiny_root / "cache", backend="local"))
    return losses(RunDirectory.open(out))


def losses(run):
    return {record.trial: (record.params, record.val_loss) for record in run.records()}


@pytest.fixture
def drive(machines):
    """Start drivers on the head."""
    with ended_at_last() as start:

        def drive(study, out, *, more=WITH_TOKEN, insist="no"):
            file = out.parent / "study.yaml"
            file.write_text(dump_study(study), encoding="utf-8")
            command = [sys.executable, "-c", DRIVER, str(file), str(out), str(out.parent / "cache")]
            command += [f"{HEAD_ADDRESS}:{HEAD_PORT}", insist]
            return start([*machines.head.prefix, *command], out, machines.head.environment({**CREDENTIALS, **more}))

        yield drive


def answer(process):
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return json.loads(said.splitlines()[-1])


def test_a_search_on_two_machines_survives_a_cut_line_and_the_loss_of_one(
    machines, drive, folder, tiny_root, expected
):
    start_ray(machines.head, {**CREDENTIALS, **WITH_TOKEN}, is_head=True)
    start_ray(machines.other, {**CREDENTIALS, **WITH_TOKEN}, is_head=False)
    out = folder / "driver" / "run"
    run = RunDirectory(out)
    with s3_server(HEAD_ADDRESS, 9000, prefix=machines.head.prefix) as place:
        study = tiny_study(tiny_root, *RANDOM, f"resources.store.url={s3_url(place, 'two')}")
        process = drive(study, out)
        wait_for(lambda: process.poll() is not None or len(list(run.trials.glob("*.log"))) >= 2)
        wait_for(lambda: process.poll() is not None or len(run.records()) >= 2)
        machines.cut()
        wait_for(lambda: True, 5)
        subprocess.run(["sleep", "4"], check=True)
        machines.restore()
        wait_for(lambda: process.poll() is not None or len(run.records()) >= 4)
        assert process.poll() is None, "the search was to be under way when a machine is lost"
        machines.other.kill()
        answered = answer(process)
    records = run.records()
    assert [(record.state, record.reason, record.message) for record in records] == [("complete", None, "")] * 8
    assert answered == {"complete": 8}
    assert losses(run) == expected
    assert (machines.other.folder / "cache" / "fetched").is_dir(), "the other machine fetched its data"
    assert not (machines.other.folder / "cache" / run.path.name).exists()
    assert all("tokens" in run.trial_log(record.trial).read_text(encoding="utf-8") for record in records)
    content = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert SECRET.encode() not in content
    assert TOKEN.encode() not in content


def test_a_cluster_that_asks_for_no_token_is_refused_unless_the_user_insists(
    machines, drive, folder, tiny_root, expected
):
    start_ray(machines.head, {"RAY_AUTH_MODE": "disabled"}, is_head=True)
    study = tiny_study(tiny_root, *RANDOM, "search.trials=2")
    first = answer(drive(study, folder / "driver" / "run", more={}))
    for word in ("requires no token", "CVE-2023-48022", "CVE-2025-62593", "--insecure-cluster"):
        assert word in first["error"]
    second = answer(drive(study, folder / "driver" / "run", more={}, insist="insist"))
    assert second == {"complete": 2}
    found = losses(RunDirectory(folder / "driver" / "run"))
    assert found == {trial: expected[trial] for trial in found}


def test_a_cluster_with_another_token_is_refused(machines, drive, folder, tiny_root):
    start_ray(machines.head, WITH_TOKEN, is_head=True)
    study = tiny_study(tiny_root, *RANDOM, "search.trials=2")
    other = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN[::-1]}
    said = answer(drive(study, folder / "driver" / "run", more=other))
    assert "cannot be used" in said["error"]
    assert TOKEN not in said["error"]


def test_a_trial_whose_machine_is_lost_in_the_middle_of_a_stage_goes_on_from_there_on_another(
    machines, drive, folder, tiny_root
):
    alone = run_study(
        tiny_study(tiny_root, *LONG), folder / "alone", RunOptions(cache=tiny_root / "cache", backend="local")
    )
    more = {**CREDENTIALS, **WITH_TOKEN, **HASTY}
    start_ray(machines.head, more, is_head=True, num_cpus=0)
    start_ray(machines.other, more, is_head=False)
    run = RunDirectory(folder / "driver" / "run")
    with s3_server(HEAD_ADDRESS, 9000, prefix=machines.head.prefix) as place:
        url = s3_url(place, "two")
        process = drive(tiny_study(tiny_root, *LONG, f"resources.store.url={url}"), run.path)
        (task,) = wait_for(lambda: process.poll() is not None or read_tasks(run.trials))
        wait_for(lambda: process.poll() is not None or sent_state(machines.head, url, task.end, folder))
        machines.other.kill()
        state = sent_state(machines.head, url, task.end, folder)
        assert process.poll() is None, "the trial was to be in its second stage when its machine is lost"
        start_ray(machines.head, more, is_head=False)
        scratch = f"cache/worker/*/scratch/{task.end}/{state}"
        wait_for(lambda: process.poll() is not None or list(machines.head.folder.glob(scratch)))
        assert process.poll() is None, "the state was to arrive before the trial ends"
        assert answer(process) == {"complete": 1}
    (record,) = run.records()
    assert record.attempts == 2
    assert losses(run) == losses(alone.run)
    assert task.tokens <= record.cost.tokens < 1.5 * task.tokens


def sent_state(machine, url, key, folder):
    """Name of the state within a stretch that is in the store; None if there is none."""
    target = folder / "latest"
    target.unlink(missing_ok=True)
    command = [*machine.prefix, sys.executable, "-c", SENT, url, key, str(target)]
    done = subprocess.run(command, env=machine.environment(CREDENTIALS), check=False, capture_output=True)
    return target.read_text(encoding="utf-8") if done.returncode == 0 else None
