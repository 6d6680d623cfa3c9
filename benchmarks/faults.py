"""Kill a search at random moments until it has had enough, and see whether anything was lost, doubled or changed.

A study of 30 trials is run once undisturbed. Then it is run again while its processes are killed with SIGKILL: on
the local backend the driver, which is its own worker; on Ray drivers and workers, as the dice fall. After every
death of a driver `resume` goes on. At the end every schedule must have been trained once and have the loss of the
undisturbed run, and the work that was lost must be small.

Moments are drawn by the seed, in processor seconds of a life, so that they mean the same on a busy machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import parse_study

__all__ = ["Tally", "main", "measure"]

STUDY = """
study: faults
seed: 11
data: {{source: ["{texts}"], tokenizer: {{kind: bytes}}, dedup: none}}
model: {{layers: 1, width: 32, heads: 2, context: 32}}
budget: {{tokens: {tokens}, grid: 0.05}}
train: {{batch_tokens: 512, threads: 1, precision: float32, micro_batch: 16, device: cpu}}
evaluation: {{tokens: 1024, points: 2}}
stage_defaults: {{optimizer: [adamw, lion], lr: {{relative: {{low: 0.25, high: 4.0}}}}, lr_shape: constant}}
stages:
{stages}
search: {{searcher: {searcher}, trials: {trials}}}
control: 0
baselines: [adamw_cosine]
resources: {{workers: {workers}}}
"""

STAGES = [f"  - {{name: s{index}, share: 0.1}}" for index in range(8)] + [
    "  - {name: last, share: rest, lr_shape: linear}"
]
"""Nine: a kill costs half a stage on average, and a stage here takes less than a second."""

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
MARK = "MBO_FAULTS_RUN"
WORKER_NAME = "ray::ImplicitFunc.train"
MOST_LIVES = 500
POLL_SECONDS = 0.02
COUNT_SECONDS = 0.2
"""How often a trial notes how far it came: what is lost since then is not counted."""


@dataclass
class Tally:
    """What the kills did.

    Attributes:
        backend: Where trials ran.
        kills: Processes that were killed, by what they were.
        survived: Kills after which the search went on.
        trials: Trials with a final record.
        lost: Trials that were begun and have none, or that the undisturbed run has and this one has not.
        doubled: Trials with two rows in the database, and nodes that two trials trained.
        unfinished: Rows of the database that are not finished.
        given_up: Trials that lost their worker three times and have failed, as a search promises.
        different: Other schedules whose loss differs from the undisturbed run's.
        same_ranking: Whether the ranking names the same trials in the same order, those that were given up aside.
        executed_tokens: Charged tokens trained and kept.
        wasted_tokens: Charged tokens trained in vain.
        uncounted_tokens: At most so many more may have been lost between two notes of how far a trial came.
        wall_seconds: Wall-clock seconds.
    """

    backend: str
    kills: dict[str, int] = field(default_factory=lambda: {"driver": 0, "worker": 0})
    survived: int = 0
    trials: int = 0
    lost: int = 0
    doubled: int = 0
    unfinished: int = 0
    given_up: int = 0
    different: int = 0
    same_ranking: bool = False
    executed_tokens: int = 0
    wasted_tokens: int = 0
    uncounted_tokens: int = 0
    wall_seconds: float = 0.0

    @property
    def wasted_share(self) -> float:
        """Wasted tokens, counted and not, per executed token."""
        return (self.wasted_tokens + self.uncounted_tokens) / max(1, self.executed_tokens)


@dataclass(frozen=True)
class Bench:
    """Where everything lies, and how large it is."""

    root: Path
    trials: int
    tokens: int

    def study_file(self, backend: str) -> Path:
        """Write the study for a backend: TPE in one process, random draws on Ray.

        On Ray the order in which trials end depends on the clock, so only draws that depend on the trial's number
        alone can be compared.
        """
        texts = self.root / "texts"
        if not texts.is_dir():
            texts.mkdir(parents=True)
            dice = random.Random(0)
            for index in range(120):
                words = " ".join(dice.choice(WORDS) for _ in range(250))
                (texts / f"{index:03d}.txt").write_text(words, encoding="utf-8")
        searcher, workers = ("random", 2) if backend == "ray" else ("tpe", 1)
        file = self.root / f"{backend}.yaml"
        text = STUDY.format(
            texts=texts,
            tokens=self.tokens,
            stages="\n".join(STAGES),
            searcher=searcher,
            trials=self.trials,
            workers=workers,
        )
        parse_study(text, str(file))
        file.write_text(text, encoding="utf-8")
        return file

    def live(self, study: Path, out: Path, backend: str) -> None:
        """A driver's life: begin the search, or go on with it."""
        from mbo_search.engine.run import RunOptions, resume_study, run_study
        from mbo_search.study.files.study_file import load_study

        options = RunOptions(cache=self.root / "cache", backend=backend)
        if (out / "study.yaml").exists():
            resume_study(out, options)
        else:
            run_study(load_study(study), out, options)

    def start_local(self, study: Path, out: Path) -> int:
        """Fork a driver, so that libraries need not be imported for each life."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            self.live(study, out, "local")
            code = 0
        finally:
            os._exit(code)

    def start_ray(self, study: Path, out: Path) -> subprocess.Popen:
        """Start a driver in a fresh process; its whole family is marked by a variable."""
        command = [sys.executable, __file__, "--life", str(study), str(out), "--root", str(self.root)]
        log = (self.root / "ray-drivers.log").open("a")
        return subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, MARK: str(out)}, process_group=0
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--local-kills", type=int, default=50)
    parser.add_argument("--ray-kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="charged tokens of a schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="8 kills of the driver over 8 small trials, no Ray")
    parser.add_argument("--root", type=Path, help="folder for everything; kept [default: a temporary one]")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--life", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.short:
        options.local_kills, options.ray_kills, options.trials, options.tokens = 8, 0, 8, 300_000
    root = options.root or Path(tempfile.mkdtemp(prefix="mbo-faults-"))
    bench = Bench(root=root, trials=options.trials, tokens=options.tokens)
    if options.life:
        bench.live(*options.life, "ray")
        return
    tallies = []
    for backend, kills in (("local", options.local_kills), ("ray", options.ray_kills)):
        if kills:
            tallies.append(measure(bench, backend, kills, random.Random(options.seed)))
            print_table(tallies)
    if options.json:
        rows = [asdict(tally) | {"wasted_share": tally.wasted_share} for tally in tallies]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.root is None:
        shutil.rmtree(root, ignore_errors=True)


def measure(bench: Bench, backend: str, kills: int, dice: random.Random) -> Tally:
    """Run the study undisturbed in one process, then with kills, and compare."""
    study = bench.study_file(backend)
    whole, out = bench.root / f"{backend}-undisturbed", bench.root / f"{backend}-killed"
    _preload()
    seconds = undisturbed(bench, study, whole)
    tally, start = Tally(backend=backend), time.monotonic()
    mean_life = 0.75 * seconds / kills
    if backend == "local":
        _kill_local(bench, study, out, tally, [dice.uniform(0, 2 * mean_life) for _ in range(kills)])
    else:
        moments = [(dice.uniform(0, 2 * mean_life), dice.random() < 0.5) for _ in range(kills)]
        _kill_ray(bench, study, out, tally, moments)
    tally.wall_seconds = time.monotonic() - start
    compare(tally, RunDirectory(whole), RunDirectory(out))
    return tally


def undisturbed(bench: Bench, study: Path, whole: Path) -> float:
    """Run a study in one process unless that was done before; its processor seconds."""
    file = whole.with_suffix(".seconds")
    if not file.exists():
        began = processor_seconds(0)
        wait_for_end(bench.start_local(study, whole))
        file.write_text(str(processor_seconds(0) - began), encoding="utf-8")
    return float(file.read_text(encoding="utf-8"))


def _preload() -> None:
    for name in ("mbo_search.engine.run", "mbo_search.train.torch_runner", "mbo_search.train.setup.probe"):
        importlib.import_module(name)


def _kill_local(bench: Bench, study: Path, out: Path, tally: Tally, moments: list[float]) -> None:
    """Kill the driver once at each moment of its life; a life that ends before is followed by no other."""
    for number, moment in enumerate([*moments, None]):
        pid = bench.start_local(study, out)
        while moment is not None and processor_seconds(pid) < moment:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(POLL_SECONDS)
        if moment is not None:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == -signal.SIGKILL:
            tally.kills["driver"] += 1
            continue
        if code != 0:
            raise SystemExit(f"life {number} of the driver ended by itself with exit code {code}")
        break
    tally.survived = sum(tally.kills.values())


def _kill_ray(bench: Bench, study: Path, out: Path, tally: Tally, moments: list[tuple[float, bool]]) -> None:
    """Kill drivers and workers; moments are processor seconds of all workers since the kill before."""
    driver, left = bench.start_ray(study, out), list(moments)
    spent_before = 0.0
    while driver.poll() is None:
        workers = family(out, WORKER_NAME)
        spent = sum(processor_seconds(pid) for pid in workers)
        if not left or spent - spent_before < left[0][0] or not workers:
            time.sleep(0.2)
            continue
        _, is_driver = left.pop(0)
        victim = driver.pid if is_driver else random.Random(len(left)).choice(sorted(workers))
        os.kill(victim, signal.SIGKILL)
        tally.kills["driver" if is_driver else "worker"] += 1
        if is_driver:
            driver.wait()
            wait_until_gone(out)
            driver = bench.start_ray(study, out)
        time.sleep(1.0)
        spent_before = sum(processor_seconds(pid) for pid in family(out, WORKER_NAME))
    if driver.returncode != 0:
        raise SystemExit(f"a driver ended with exit code {driver.returncode}; see {bench.root}/ray-drivers.log")
    tally.survived = sum(tally.kills.values())


def compare(tally: Tally, whole: RunDirectory, run: RunDirectory) -> None:
    """Fill in what became of the trials."""
    import optuna

    expected = {record.trial: (record.params, record.val_loss) for record in whole.records()}
    records = {record.trial: record for record in run.records() if record.state != "interrupted"}
    begun = {int(file.name[:4]) for file in run.trials.glob("*.task.json")}
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run.database}")
    rows = Counter(trial.user_attrs["trial"] for trial in study.trials)
    produced = Counter(key for record in records.values() for key in record.produced)
    tally.trials = len(records)
    tally.lost = len((begun | expected.keys()) - records.keys())
    tally.doubled = sum(count > 1 for count in rows.values()) + sum(count > 1 for count in produced.values())
    tally.unfinished = sum(not trial.state.is_finished() for trial in study.trials)
    given_up = {trial for trial, record in records.items() if record.reason == "worker_lost"}
    tally.given_up = len(given_up)
    tally.different = sum(
        (record.params, record.val_loss) != expected.get(trial)
        for trial, record in records.items()
        if trial not in given_up
    )
    tally.same_ranking = [row for row in ranked(whole) if row[0] not in given_up] == ranked(run)
    tally.executed_tokens = sum(record.cost.executed_tokens for record in records.values())
    tally.wasted_tokens = sum(record.cost.wasted_tokens for record in records.values())
    seconds = sum(record.cost.train_seconds for record in records.values())
    slots = 2 if tally.backend == "ray" else 1
    lives = tally.kills["driver"] * slots + tally.kills["worker"]
    tally.uncounted_tokens = round(lives * COUNT_SECONDS / 2 * tally.executed_tokens / max(1e-9, seconds))


def ranked(run: RunDirectory) -> list[tuple[int, float]]:
    """Trials and losses in the order of the ranking."""
    from mbo_search.results.ranking.files import make_ranking

    return [(entry.trial, entry.val_loss) for entry in make_ranking(run).trials if entry.val_loss is not None]


def processor_seconds(pid: int) -> float:
    """Processor seconds of a process (0: this one's ended children); 0 if it is gone."""
    if not pid:
        times = os.times()
        return times.children_user + times.children_system
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(out: Path, name: str = "") -> list[int]:
    """Living processes that were started for a run directory and whose command line begins with a name."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{MARK}={out}".encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found += [int(entry.name)] if command.startswith(name) else []
        except OSError:
            continue
    return found


def wait_until_gone(out: Path, seconds: float = 120.0) -> None:
    """Wait until nothing of a driver's family lives any more."""
    deadline = time.monotonic() + seconds
    while family(out) and time.monotonic() < deadline:
        time.sleep(0.5)


def wait_for_end(pid: int) -> None:
    """Wait for a driver that must end well."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        raise SystemExit(f"the undisturbed run ended with exit code {code}")


def print_table(tallies: list[Tally]) -> None:
    """Print what is known so far."""
    print(
        "| backend | kills | survived | trials | given up | lost | doubled | other loss | same ranking | wasted |",
        flush=True,
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for tally in tallies:
        kills = ", ".join(f"{count} {kind}" for kind, count in tally.kills.items() if count)
        print(
            f"| {tally.backend} | {kills} | {tally.survived} | {tally.trials} | {tally.given_up} | {tally.lost} "
            f"| {tally.doubled + tally.unfinished} | {tally.different} | {'yes' if tally.same_ranking else 'no'} "
            f"| {tally.wasted_tokens:,} + at most {tally.uncounted_tokens:,} of {tally.executed_tokens:,} tokens "
            f"({100 * tally.wasted_share:.1f} %) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
