"""Answers to a space's questions: at random, always the same end, or as recorded."""

from __future__ import annotations

import math
import random


class RandomSuggest:
    """Uniform choices; logarithmic where asked; remembers what it was asked."""

    def __init__(self, seed):
        self.generator = random.Random(seed)
        self.asked = {}

    def categorical(self, name, choices):
        assert len(choices) > 1
        assert name not in self.asked
        self.asked[name] = self.generator.choice(list(choices))
        return self.asked[name]

    def number(self, name, low, high, *, log, step):
        assert low < high
        assert name not in self.asked
        assert not (log and step)
        if step is not None:
            value = low + step * self.generator.randint(0, round((high - low) / step))
        elif log:
            value = math.exp(self.generator.uniform(math.log(low), math.log(high)))
        else:
            value = self.generator.uniform(low, high)
        self.asked[name] = min(max(value, low), high)
        return self.asked[name]


class FixedSuggest:
    """Answers from a mapping; a question that is not in it is an error."""

    def __init__(self, answers):
        self.answers = answers

    def categorical(self, name, choices):
        assert self.answers[name] in choices
        return self.answers[name]

    def number(self, name, low, high, *, log, step):
        assert low <= self.answers[name] <= high
        return self.answers[name]
