"""The memory that a trial takes, predicted from the sizes of its model, and the micro-batch that fits.

Counted are weights, gradients, the optimizer's state, the mean of the weights that evaluations need, and what the
backward pass keeps of a micro-batch; where a pretrained model's weights are frozen in all stages, they have neither
gradients nor a state. Five trials of 13 to 50 M parameters, measured by `benchmarks/trial_memory.py`, took what is
counted here within a tenth; small ones of our own took between 0.74 and 1.23 times as much, so nothing is refused
that is not over the limit by a third.
"""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.errors import Problem, StudyError
from mbo_search.model.size import mlp_width, num_parameters
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.space.space import staged_space
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.study.spec.pretrained import PretrainedModel
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.study import Study
from mbo_search.system.memory import memory_bytes, process_bytes_left
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.units import format_bytes

_FLOAT_BYTES = 4
_HALF_BYTES = 2
_PROCESS_BYTES = 400 * 2**20
"""A process with torch and the text, before it trains anything."""

_LIBRARY_BYTES = 160 * 2**20
"""What `transformers` and `peft` take of such a process beside that."""

_PLAIN = frozenset({"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"})
"""Architectures whose layers have neither gates nor rotations, and keep less."""

_SURE = 0.75
"""Share of a prediction that is needed at least."""

_LEARNING_FLOATS = 2
"""Floats that a weight needs to learn beside itself and the optimizer's state: gradient and mean."""


class TrialMemory(Description):
    """Memory of one trial.

    Attributes:
        fixed_bytes: Weights, gradients, optimizer and process, whatever the micro-batch.
        sequence_bytes: What each sequence of a micro-batch adds.
        micro_batch: Sequences of one forward pass.
        available_bytes: What a trial may take here, others running beside it.
    """

    fixed_bytes: int
    sequence_bytes: int
    micro_batch: int
    available_bytes: int

    @property
    def needed_bytes(self) -> int:
        """All that the trial takes."""
        return self.fixed_bytes + self.micro_batch * self.sequence_bytes

    @property
    def largest_micro_batch(self) -> int:
        """Most sequences of one forward pass that fit; 0 if not even one does."""
        return max(0, (self.available_bytes - self.fixed_bytes) // self.sequence_bytes)

    def is_surely_too_little(self, micro_batch: int) -> bool:
        """Whether a trial with such a micro-batch cannot run here, even with a quarter less than predicted."""
        return _SURE * (self.fixed_bytes + micro_batch * self.sequence_bytes) > self.available_bytes


@dataclass(frozen=True, slots=True)
class CountedWeights:
    """Weights of a study's largest trial.

    Attributes:
        all: Those of the model, with its adapters.
        learning: Those that learn at once.
    """

    all: int
    learning: int


def count_weights(study: Study, setup: TrainSetup) -> CountedWeights:
    """Count the weights of a trial; of a fresh model all count as learning."""
    total = num_parameters(setup.own_model, setup.vocab_size)
    if not isinstance(setup.own_model, PretrainedModel):
        return CountedWeights(total, total)
    from mbo_search.model.learning import LearningWeights  # the door to transformers

    counted = LearningWeights(setup.own_model, study.model.lora)
    opponents = "all" if study.model.lora is None else LORA
    trainable = {opponents, *(chosen for axes in staged_space(study).stages for chosen in axes.trainable)}
    return CountedWeights(total + counted.in_adapters, max(map(counted.of, trainable)))


def trial_memory(study: Study, setup: TrainSetup, slots: int) -> TrialMemory:
    """Predict the memory of one trial of a study."""
    model = setup.own_model
    floats = _activation_floats(setup)
    size = _HALF_BYTES if setup.precision == "bfloat16" else _FLOAT_BYTES
    token_bytes = floats * size + 3 * setup.vocab_size * _FLOAT_BYTES
    counted = count_weights(study, setup)
    names = {choice.name for axes in staged_space(study).stages for choice in axes.optimizers}
    state_floats = max((OPTIMIZERS[name].state_floats for name in names), default=2.0)
    kinds = {choice.kind for axes in staged_space(study).stages for choice in axes.lr_shapes}
    state_floats += any(map(averages_weights, kinds))
    fixed = counted.all * (1 + _regularizer_floats(study)) + counted.learning * (_LEARNING_FLOATS + state_floats)
    return TrialMemory(
        fixed_bytes=int(fixed * _FLOAT_BYTES) + _process_bytes(setup),
        sequence_bytes=token_bytes * model.context * _copies(study),
        micro_batch=setup.micro_batch,
        available_bytes=_available_bytes(setup, slots),
    )


def _process_bytes(setup: TrainSetup) -> int:
    has_library = isinstance(setup.own_model, NetworkFacts) and setup.own_model.library is not None
    return _PROCESS_BYTES + (_LIBRARY_BYTES if has_library else 0)


def _activation_floats(setup: TrainSetup) -> int:
    """What the backward pass keeps of a token, logits aside: all of every layer, or its input and all of one."""
    model = setup.own_model
    is_plain = isinstance(model, NetworkFacts) and model.architecture in _PLAIN
    layer = 9 * model.width + 2 * mlp_width(model) if is_plain else 11 * model.width + 4 * mlp_width(model)
    layers = layer + model.layers * model.width if setup.gradient_checkpointing else model.layers * layer
    return layers + 4 * model.width


def _regularizer_floats(study: Study) -> float:
    """Most floats a parameter that the regularizers of a stage keep together."""
    sets = (chosen for axes in staged_space(study).stages for chosen in axes.regularizers)
    return max((sum(REGULARIZERS[one.kind].state_floats for one in chosen) for chosen in sets), default=0.0)


def _copies(study: Study) -> int:
    """Most copies of a sequence that the regularizers of a stage compare."""
    chosen = (one for axes in staged_space(study).stages for sets in axes.regularizers for one in sets)
    return max((REGULARIZERS[one.kind].copies for one in chosen), default=1)


def _available_bytes(setup: TrainSetup, slots: int) -> int:
    """Bytes for one process: its share of the memory, and what its own limit leaves."""
    if setup.device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    shared = memory_bytes() // (slots * setup.ranks)
    left = process_bytes_left()
    return shared if left is None else min(shared, left + _process_bytes(setup))


def check_memory(study: Study, setup: TrainSetup, slots: int) -> TrialMemory:
    """Predict the memory of one trial, and refuse a study whose trials cannot run.

    Raises:
        StudyError: If they cannot; names the largest micro-batch that fits, if there is one.
    """
    memory = trial_memory(study, setup, slots)
    if not memory.is_surely_too_little(setup.micro_batch):
        return memory
    needed, available = format_bytes(memory.needed_bytes), format_bytes(memory.available_bytes)
    rule = f"takes about {needed} of memory a trial, and {available} are there for each of {slots} at once"
    largest = memory.largest_micro_batch
    if largest:
        hint = (
            f"the largest that fits is --set train.micro_batch={largest}; a batch is the sum of its micro-batches"
        )
        problem = Problem(key="train.micro_batch", value=str(setup.micro_batch), rule=rule, hint=hint)
    else:
        hint = "make it smaller, or run fewer trials at once with --set resources.workers=1"
        hint = hint if slots > 1 else "make it smaller, or use a machine with more memory"
        problem = Problem(key="model", rule=rule, hint=hint)
    raise StudyError([problem])
