"""Ask ten searches what a study finds in which only the length of one decay differs.

    python benchmarks/decay_only.py --searches 10 --out build/decay-only -o benchmarks/results/decay-only.json

The space of `decay.yaml` reaches no further than the rung *shape*: the question of each search is whether another
shape of the learning rate beats a single tuned strategy, and nothing in it may answer yes to a change of settings
or of the optimizer. Prints the answer, the gain with its interval, and the champion of each rung, search by search,
and counts the answers. Searches that have finished are kept in the folder --out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import load_study
from mbo_search.study.spec.rungs import RUNGS
from mbo_search.system.files import write_json

STUDY = Path(__file__).with_name("decay.yaml")

SEEDS_APART = 1000
"""Distance of two search seeds; the fresh seeds of each follow it."""


def main() -> None:
    """Run the searches one after the other, print what each found, and count the answers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--searches", type=int, default=10, help="independent searches")
    parser.add_argument("--out", type=Path, default=Path("build/decay-only"), help="folder of the run directories")
    parser.add_argument("-o", dest="json", type=Path, help="where to write the numbers as JSON")
    arguments = parser.parse_args()
    rankings = [_searched(seed * SEEDS_APART, arguments.out) for seed in range(arguments.searches)]
    print("\n".join(line for ranking in rankings for line in lines(ranking)))
    print(counted(rankings))
    if arguments.json is not None:
        write_json(arguments.json, {"searches": [numbers(ranking) for ranking in rankings]})


def lines(ranking: Ranking) -> list[str]:
    """What a search found, for people."""
    rungs = ", ".join(f"{row.name} {row.perplexity:.2f}" for row in ranking.ladder if row.perplexity is not None)
    return [ranking.verdict.sentence, f"  perplexities: {rungs}", f"  {ranking.verdict.ladder_sentence}"]


def counted(rankings: Sequence[Ranking]) -> str:
    """How many searches answered what, to which question."""
    answers = Counter((ranking.verdict.question, ranking.verdict.answer) for ranking in rankings)
    in_order = sorted(answers.items(), key=str)
    found = ", ".join(f"{count} {answer} to {question}" for (question, answer), count in in_order)
    above = sum(row.trials for ranking in rankings for row in ranking.ladder if row.name in RUNGS[3:])
    return f"{len(rankings)} searches: {found}; {above} schedules credited to settings or switch"


def numbers(ranking: Ranking) -> dict[str, object]:
    """What a search found, as plain values."""
    verdict = ranking.verdict
    return {
        "question": verdict.question,
        "answer": verdict.answer,
        "difference": None if verdict.difference is None else verdict.difference.model_dump(mode="json"),
        "objections": list(verdict.objections),
        "ladder": [row.model_dump(mode="json") for row in ranking.ladder],
    }


def _searched(seed: int, out: Path) -> Ranking:
    study = load_study(STUDY, [f"seed={seed}"])
    folder = out / f"seed-{seed}"
    run_study(study, folder, RunOptions(cache=out / "cache", backend="local"))
    return make_ranking(RunDirectory.open(folder))


if __name__ == "__main__":
    main()
