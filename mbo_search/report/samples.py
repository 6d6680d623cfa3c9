"""Continuations of text, as handed to the report by whoever can run the models, and kept beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from mbo_search.study.spec.base import Description
from mbo_search.system.files import write_atomic

_LOGGER = logging.getLogger(__name__)


class TextSample(Description):
    """Text that one model wrote.

    Attributes:
        trial: Number of the schedule that trained it.
        label: Its rung, such as `untuned` or `switch`, or what else it stands for.
        prompt: The text that it was given.
        continuation: What it added.
        val_perplexity: Its validation perplexity, if known.
        reference: The right answer, where there is one.
    """

    trial: int
    label: str
    prompt: str
    continuation: str
    val_perplexity: float | None = None
    reference: str | None = Field(default=None, exclude_if=lambda reference: reference is None)

    @property
    def is_right(self) -> bool:
        """True if it is the right answer, letter for letter but for spaces around it."""
        return self.reference is not None and self.continuation.strip() == self.reference.strip()


@dataclass(frozen=True, slots=True)
class Prompted:
    """What several models wrote to one prompt.

    Attributes:
        prompt: The prompt.
        reference: The right answer, where there is one.
        samples: Their texts, in their order.
    """

    prompt: str
    reference: str | None
    samples: tuple[TextSample, ...]


def by_prompt(samples: Sequence[TextSample]) -> list[Prompted]:
    """Put texts to one prompt side by side, prompts in the order in which they come first."""
    prompts = dict.fromkeys((sample.prompt, sample.reference) for sample in samples)
    return [
        Prompted(*prompt, tuple(one for one in samples if (one.prompt, one.reference) == prompt))
        for prompt in prompts
    ]


class _SampleFile(Description):
    samples: tuple[TextSample, ...] = Field(max_length=100)


def _file(folder: Path) -> Path:
    return folder / "samples.json"


def save_samples(folder: Path, samples: Sequence[TextSample]) -> None:
    """Keep samples in a run directory, so that a later report shows them as well."""
    write_atomic(_file(folder), _SampleFile(samples=tuple(samples)).model_dump_json(indent=1) + "\n")


def load_samples(folder: Path) -> tuple[TextSample, ...]:
    """Read the samples of a run directory; none if it has none, or if they are damaged (a warning says so)."""
    try:
        return _SampleFile.model_validate_json(_file(folder).read_bytes()).samples
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        _LOGGER.warning("%s: cannot be read and is left out of the report: %s", _file(folder), error)
        return ()
