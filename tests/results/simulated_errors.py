"""How often simulated studies err: yeses where nothing differs, and intervals that miss the truth."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tests.results.simulated import (
    COUNTS,
    ONE_RUNG_AS_GOOD,
    TEXT,
    SimulatedStudy,
    heavy,
    skewed,
    two_valued,
)

LAST_SEED = 24
ROUNDS = 6
MORE = {"tuned": 2, "settings": 1, "switch": 5}
"""Schedules that each further round of searching tries."""

CASES = {
    "nothing differs": {"worse": {}},
    "seeds alone": {},
    "documents as well": {"text": TEXT},
    "skewed noise": {"noise": skewed},
    "heavy tails": {"noise": heavy},
    "two values": {"noise": two_valued},
    "runs that diverge": {"diverging": 0.02},
}


def bound(num_studies):
    """What 99 % of so many studies with a chance of 5 % each stay below."""
    return stats.binom.ppf(0.99, num_studies, 0.05) / num_studies


def found_all(declared):
    """Whether all declared tests have ever found a gain."""
    return len(declared) == len(COUNTS) - 1 and all(one.test.better_at is not None for one in declared)


def simulated(rng, **settings):
    study = SimulatedStudy(rng, **({"worse": ONE_RUNG_AS_GOOD} | settings))
    study.search()
    study.confirm(range(1, LAST_SEED + 1))
    return study


def in_rounds(rng, **settings):
    """Six times more trials and the champions of that moment on the next four seeds; True at the first yes."""
    study = SimulatedStudy(rng, **({"worse": ONE_RUNG_AS_GOOD} | settings))
    for number in range(ROUNDS):
        study.search(MORE if number else COUNTS)
        study.confirm(range(1 + 4 * number, 9 + 4 * number))
        if found_all(study.compared()["declared"]):
            return True
    return False


def false_yes_share(num_studies, seed, **settings):
    rng = np.random.default_rng(seed)
    return (
        sum(found_all(simulated(rng, **settings).compared()["declared"]) for _ in range(num_studies)) / num_studies
    )


def covered_shares(num_studies, seed, **settings):
    """Shares of studies that cover the truth: by declared rung, and by all intervals of the ladder together."""
    rng = np.random.default_rng(seed)
    declared, ladder = [], []
    for _ in range(num_studies):
        study = simulated(rng, **({"spread": 0.01, "worse": {}} | settings))
        compared = study.compared()
        declared.append([_covers(study, one) for one in compared["declared"]])
        ladder.append(all(_covers(study, one) for one in compared["ladder"]))
    return [*np.mean(declared, axis=0), np.mean(ladder)]


def _covers(study, one):
    return one.test.low_nats <= study.true_gain(one.trial, one.other) <= one.test.high_nats
