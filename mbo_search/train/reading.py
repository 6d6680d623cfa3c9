"""Where the steps of a segment read the text: a new stretch begins where the shares of the sources change."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.data.batches import TrainingStream
from mbo_search.data.mixing.curriculum import Curriculum
from mbo_search.data.mixing.reading import Reading
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.segments import Segment


def next_reading(
    reading: Reading | None, previous: Stage | None, stage: Stage, stream: TrainingStream, position_tokens: int
) -> Reading | None:
    """Return the stretch in which a stage reads.

    Args:
        reading: The stretch before; None: all text in its order, from the start.
        previous: The stage before in the form in force; None: the schedule begins.
        stage: The stage in the same form.
        stream: The training text.
        position_tokens: Where in the stream the stage begins.
    """
    if stage.mixture == (None if previous is None else previous.mixture):
        return reading
    begun = stream.at(reading).read_tokens(position_tokens)
    return Reading(first_tokens=position_tokens, begun=begun, weights=stage.mixture or {})


def curriculum_of(segment: Segment, step: int, position_tokens: int) -> Curriculum | None:
    """The stretch that a segment's stage reads by its score; None where its text is shuffled.

    Args:
        segment: The segment.
        step: A step of its stage.
        position_tokens: Where in the stream that step begins.
    """
    order = segment.stage.order
    if order is None:
        return None
    return Curriculum(
        first_tokens=position_tokens - (step - segment.stage_first_step) * segment.batch_tokens,
        num_tokens=segment.clock.stage_steps * segment.batch_tokens,
        by=order.by,
        ascending=order.ascending,
    )


def tokens_by_source(segments: Sequence[Segment], stream: TrainingStream) -> dict[str, int]:
    """Tokens of each source that a schedule reads, by name; empty where nobody tells sources apart."""
    reading: Reading | None = None
    previous: Stage | None = None
    position_tokens = 0
    for segment in segments:
        reading = next_reading(reading, previous, segment.stage, stream, position_tokens)
        previous = segment.stage
        position_tokens += segment.read_tokens
    return stream.at(reading).read_tokens(position_tokens)


def epochs_by_source(segments: Sequence[Segment], stream: TrainingStream) -> dict[str, float]:
    """How often a schedule reads each source, by name; empty where nobody tells sources apart."""
    whole = stream.source_tokens()
    return {
        name: tokens / whole[name] for name, tokens in tokens_by_source(segments, stream).items() if whole[name]
    }
