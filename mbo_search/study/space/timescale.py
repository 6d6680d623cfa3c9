"""Weight decay as a timescale: after which share of the budget a weight has forgotten where it came from.

Decoupled decay shrinks a weight by lr * decay at each step, so a weight is an average of its updates over the last
1 / (lr * decay) steps. That number over the steps of the budget is the timescale. It has an optimum that hardly
moves with the learning rate, the batch or the budget, whereas the best decay falls with each of them.

References:
    Wang & Aitchison 2024, arXiv:2405.13698; Bergsma et al. 2025, arXiv:2505.13738 (the best timescale); Bergsma et
    al. 2025, arXiv:2509.25087. Differs from the papers: the learning rate is the peak of the stage.
"""

from __future__ import annotations

import math

from mbo_search.units import round_significant

_DIGITS = 3


def decay_of_timescale(timescale: float, lr: float, total_steps: int) -> float:
    """The weight decay of a stage with a timescale.

    Args:
        timescale: A share of the budget, above 0; it may be larger than 1.
        lr: Peak learning rate of the stage.
        total_steps: Steps of the whole budget, counted in batches of the stage.

    >>> decay_of_timescale(0.25, 0.002, 10_000)
    0.2
    """
    return round_significant(1.0 / (lr * timescale * total_steps), _DIGITS)


def timescale_of_decay(weight_decay: float, lr: float, total_steps: int) -> float:
    """The timescale of a stage with a weight decay; without any decay it is infinite."""
    return 1.0 / (lr * weight_decay * total_steps) if weight_decay > 0 else math.inf
