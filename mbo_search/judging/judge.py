"""The judgement itself: runs both sides seed by seed until the answer is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mbo_search.engine.backends.stop_signals import stop_on_signals
from mbo_search.judging.decision import PairEvidence, weigh
from mbo_search.judging.folder import JudgeFolder, default_folder
from mbo_search.judging.judgement import Judgement, make_judgement
from mbo_search.judging.pairs import JudgedPair, pair_of
from mbo_search.judging.pool import PoolPlace
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.runs import PlannedRun, Records, RunMaker
from mbo_search.judging.seeds import seeds_of
from mbo_search.judging.sides import check_schedules, open_side

Tell = Callable[[str], None]
"""Takes one line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePlan:
    """Where and how runs are made.

    Attributes:
        out: Folder of the runs; None: one that the sides name.
        place: Local processes, or Ray.
        tell: Takes lines about how it goes.
    """

    out: Path | None
    place: PoolPlace
    tell: Tell


def judge_change(baseline: str, candidate: str, question: JudgeQuestion, plan: JudgePlan) -> tuple[Judgement, Path]:
    """Run two sides seed by seed until the answer is there.

    Returns:
        The answer, and the folder of the runs.

    Raises:
        UserError: If a side cannot be judged, or the folder holds something else.
        RunsFailedError: If a side fails again and again.
        KeyboardInterrupt: If it was stopped; what has ended is kept.
    """
    sides = (open_side(baseline, "baseline", Path.cwd()), open_side(candidate, "candidate", Path.cwd()))
    check_schedules(sides)
    seeds, question = seeds_of(sides, question)
    folder = JudgeFolder(plan.out or default_folder(sides))
    with folder.opened(sides), stop_on_signals() as stop:
        planned = [PlannedRun(side.name, side, seed) for seed in seeds for side in sides]
        maker = RunMaker(folder, planned, question)
        watch = _Watch(seeds, question, plan.tell, looks_at_every=any(side.results is None for side in sides))
        ended = maker.make(plan.place, stop=stop, is_decided=watch.is_decided)
        if ended == "stopped":
            raise KeyboardInterrupt(_stopped(folder, watch))
        pairs, evidence = watch.answer(maker.records)
        if ended == "budget" and not evidence.is_final:
            evidence = replace(evidence, reason="budget")
        judgement = make_judgement(pairs, evidence, question)
        folder.write_answer(judgement.model_dump(mode="json"))
    return judgement, folder.path


class _Watch:
    """Looks at the pairs in the order of their seeds, however runs end, and stops at the first decision."""

    def __init__(self, seeds: Sequence[int], question: JudgeQuestion, tell: Tell, *, looks_at_every: bool) -> None:
        self._seeds = seeds
        self._question = question
        self._tell = tell
        self._looks_at_every = looks_at_every
        self.pairs: list[JudgedPair] = []
        self._evidence = weigh((), question)

    def is_decided(self, records: Records) -> bool:
        """Look at what has been added; pairs behind one that is not there yet wait for it."""
        while len(self.pairs) < len(self._seeds) and not (self._looks_at_every and self._evidence.is_final):
            seed = self._seeds[len(self.pairs)]
            baseline, candidate = records.get(("baseline", seed)), records.get(("candidate", seed))
            if baseline is None or candidate is None:
                return False
            self.pairs.append(pair_of(baseline, candidate, self._question))
            if self._looks_at_every or len(self.pairs) == len(self._seeds):
                self._evidence = weigh(self.pairs, self._question)
            self._tell(_line(self.pairs, self._evidence, self._question))
        return self._evidence.is_final

    def answer(self, records: Records) -> tuple[Sequence[JudgedPair], PairEvidence]:
        """The pairs and what they say; with all seeds used it is not `going on`."""
        if self._evidence.reason == "going on" and len(self.pairs) == len(self._seeds):
            return self.pairs, replace(self._evidence, reason="seeds")
        return self.pairs, self._evidence


def _line(pairs: Sequence[JudgedPair], evidence: PairEvidence, question: JudgeQuestion) -> str:
    """What the last pair came to, and where that leaves the judgement."""
    pair = pairs[-1]
    head = f"pair {len(pairs)}, seed {pair.seed}:"
    if pair.state == "failed":
        return f"{head} failed: {pair.why}"
    values = f"baseline {pair.baseline:.6g}, candidate {pair.candidate:.6g}"
    if pair.state == "identical":
        return f"{head} {values}: identical"
    return f"{head} {values}, gain {pair.gain(question):+.4g}; {evidence.decision}"


def _stopped(folder: JudgeFolder, watch: _Watch) -> str:
    num = len(watch.pairs)
    kept = f"Interrupted; {num} pair{'s' * (num != 1)} and all other runs that had ended are kept."
    return f"{kept} The same command with --out {folder.path} continues."
