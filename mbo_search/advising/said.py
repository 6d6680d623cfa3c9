"""What advice says, as a name and its numbers: whoever shows it has the sentence, in one language or another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.study.spec.base import Description

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "left_out": "{what} is left out: of {of} trials {tried} used it, the best of them (#{trial} of {study}, "
        "seed {seed}) is {behind} behind ({interval}). Among {draws} combinations of choices its best has rank "
        "{rank}; were it as good as the rest, so low a rank would have a chance of {luck}.",
        "extended": "extended to {what}: of {draws} combinations of choices the best {leading} all lie at that end "
        "(the best is #{trial} of {study}, seed {seed}), the best elsewhere is {behind} behind ({interval}); were "
        "that end no better, that would have a chance of {luck}.",
        "fewer_trials": "half as many: the last half of the tokens gained {behind}, no more than {margin}, and the "
        "space is smaller now.",
        "interval": "95 % interval {low} to {high}, noise of {seeds} fresh seeds",
        "interval_of_rung": "interval {low} to {high} on {seeds} fresh seeds",
        "no_interval": "no fresh seeds, so no interval; {margin} is the least that counts",
        "rests_on": "{trials} trials of {studies}, on seeds {seeds}; {settings} settings were looked at. A part "
        "that is as good as the rest is taken for worse once in ten.",
        "noise": "Differences below {margin} count as none: noise of a pair of runs, from {seeds} fresh seeds of "
        "{studies}.",
        "no_noise": "No schedule was trained on fresh seeds, so the noise is not known, and every difference is of "
        "one seed; {margin} stands in for it. Measure it with: {confirm}",
        "mattered": "What decided whether a schedule came out among the best (PED-ANOVA, {trials} trials): "
        "{shares}.",
        "mattered_unknown": "Which settings mattered cannot be told from {trials} trials; {needed} are needed.",
        "more_trials": "More trials would help: the last half of the tokens still gained {behind}, more than "
        "{margin}.",
        "enough_trials": "More trials of the same space would hardly help: the last half of the tokens gained "
        "{behind}, no more than {margin}.",
        "trials_unknown": "Whether more trials would help is not known: too few have ended.",
        "stages_pay": "Freedom between stages pays: {rung} is {gain} better than what lies below ({interval}). No "
        "trial had more than {stages} stages, so nothing here says whether another one would pay as well.",
        "stages_open": "Whether more stages would help is open: {rung} gains {gain} over what lies below "
        "({interval}), which does not exclude nothing.",
        "stages_unknown": "Whether more stages would help is not known: it takes fresh seeds of schedules with and "
        "without them.",
        "unchanged": "Nothing was worse, or better at its edge, beyond noise and luck: the space stays as it is.",
        "cannot_change": "{key} stays as it is, because {rule}. Otherwise: {why}",
        "nats": "{number} nats",
        "no_key": "no single line of the study holds it",
        "rule": "the study would break a rule ({rule})",
    }
)
"""The sentences in English, by name."""


class Said(Description):
    """A sentence as its name and the values in it.

    Attributes:
        name: Name of the sentence.
        values: What is put into it; a value that is a sentence itself is one of these too.
    """

    name: str
    values: dict[str, str | Said] = {}

    def text(self, sentences: Mapping[str, str] = ENGLISH) -> str:
        """The sentence in a language."""
        values = {
            name: value.text(sentences) if isinstance(value, Said) else value for name, value in self.values.items()
        }
        return sentences[self.name].format(**values)


def number(value: float, unit: str = "") -> str | Said:
    """A number of a sentence; languages have words of their own for nats, and none for metrics.

    >>> number(0.03127, "nats").text(), number(0.00021)
    ('0.0313 nats', '0.00021')
    """
    shown = f"{value:.3g}"
    return Said(name="nats", values={"number": shown}) if unit == "nats" else f"{shown} {unit}".strip()
