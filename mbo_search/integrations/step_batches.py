"""Batches that are a function of the step, for any dataset with a length."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class StepBatches(Sampler[list[int]]):
    """The batches of some steps: a new order in each epoch, drawn from the seed, and nothing to remember.

    To be given to a `DataLoader` as its `batch_sampler`.

    Attributes:
        steps: The steps.
        parts: Equal parts in which the examples of a step come.
    """

    def __init__(self, num_examples: int, batch_size: int, *, steps: range, seed: int, parts: int = 1) -> None:
        """Describe the batches.

        Args:
            num_examples: Length of the dataset.
            batch_size: Examples of one optimizer step.
            steps: The steps.
            seed: Seed of the order.
            parts: Equal parts in which the examples of a step come, for loops that accumulate gradients.
        """
        assert num_examples > 0, "a dataset has examples"
        assert batch_size % parts == 0, (batch_size, parts)
        self._num_examples = num_examples
        self._batch_size = batch_size
        self.steps = steps
        self.parts = parts
        self._seed = seed
        self._order: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        """Count the parts of all steps."""
        return len(self.steps) * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        """Go through the steps, part by part."""
        size = self._batch_size // self.parts
        for step in self.steps:
            examples = self.of_step(step)
            yield from (examples[first : first + size] for first in range(0, len(examples), size))

    def of_step(self, step: int) -> list[int]:
        """The examples of a step, given the steps done before it."""
        first = step * self._batch_size
        return [self._example(position) for position in range(first, first + self._batch_size)]

    def _example(self, position: int) -> int:
        epoch, place = divmod(position, self._num_examples)
        if epoch != self._order[0]:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
            self._order = (epoch, torch.randperm(self._num_examples, generator=generator).tolist())
        return self._order[1][place]
