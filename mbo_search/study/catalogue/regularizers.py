"""The catalogue's regularizers: each has one number, and can change from stage to stage.

Ranges: `low` and `high` bound what is allowed; `search_low` and `search_high` what is sensible for language models.
"""

from __future__ import annotations

from mbo_search.extensions import REGULARIZER_GROUP, Registry, by_name
from mbo_search.study.catalogue.entries import RegularizerDefinition

REGULARIZERS = Registry(
    REGULARIZER_GROUP,
    RegularizerDefinition,
    by_name(
        RegularizerDefinition(
            name="clip_value",
            implementation="mbo_search.optim.regularizers:ClipValue",
            summary="largest absolute value of a gradient entry; cut before the norm is clipped",
            paper="Mikolov 2012, PhD thesis, Brno University of Technology",
            low=1.0e-6,
            high=1.0e3,
            search_low=1.0e-3,
            search_high=1.0e-1,
            log=True,
        ),
        RegularizerDefinition(
            name="dropout",
            implementation="mbo_search.optim.regularizers:Dropout",
            summary="probability of zeroing an entry of the embeddings, the attention and each block's output",
            paper="Srivastava et al. 2014, JMLR 15; against it in a single epoch: arXiv:2505.24788",
            low=0.0,
            high=0.9,
            search_low=0.02,
            search_high=0.2,
            log=False,
        ),
        RegularizerDefinition(
            name="ema",
            implementation="mbo_search.optim.regularizers:Ema",
            summary="decay per step of a moving average of the weights, measured beside them, never trained from",
            paper="Polyak & Juditsky 1992, doi:10.1137/0330046; Morales-Brotons et al. 2024, arXiv:2411.18704",
            low=0.0,
            high=0.99999,
            search_low=0.9,
            search_high=0.999,
            log=False,
            off_at_zero=False,  # a decay of 0 measures the last weights
            moves_weights=False,
            state_floats=1.0,
        ),
        RegularizerDefinition(
            name="gradient_noise",
            implementation="mbo_search.optim.regularizers:GradientNoise",
            summary="variance of Gaussian noise on the gradient at the first step, falling with the steps ** -0.55",
            paper="Neelakantan et al. 2015, arXiv:1511.06807",
            low=0.0,
            high=1.0,
            search_low=1.0e-10,
            search_high=1.0e-6,
            log=True,
        ),
        RegularizerDefinition(
            name="l1",
            implementation="mbo_search.optim.regularizers:L1",
            summary="proximal L1: after a step, matrices move towards zero by lr times this and stop there",
            paper="Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x; Duchi & Singer 2009, JMLR 10",
            low=0.0,
            high=1.0,
            search_low=1.0e-5,
            search_high=1.0e-2,
            log=True,
        ),
        RegularizerDefinition(
            name="l2",
            implementation="mbo_search.optim.regularizers:L2",
            summary="coupled decay: this times the weight is added to the gradient of each matrix",
            paper="Krogh & Hertz 1991, NIPS 4; against it with Adam: Loshchilov & Hutter 2019, arXiv:1711.05101",
            low=0.0,
            high=1.0,
            search_low=1.0e-6,
            search_high=1.0e-3,
            log=True,
        ),
        RegularizerDefinition(
            name="l2_sp",
            implementation="mbo_search.optim.l2_sp:L2Sp",
            summary="decay towards the start: this times (weight - first weight) is added to every gradient",
            paper="Li, Grandvalet & Davoine 2018, arXiv:1802.01483",
            low=0.0,
            high=100.0,
            search_low=1.0e-4,
            search_high=1.0e-1,
            log=True,
            state_floats=1.0,
        ),
        RegularizerDefinition(
            name="label_smoothing",
            implementation="mbo_search.optim.regularizers:LabelSmoothing",
            summary="share of the target's probability that is spread over all tokens, in the training loss only",
            paper="Szegedy et al. 2016, arXiv:1512.00567",
            low=0.0,
            high=0.9,
            search_low=0.01,
            search_high=0.1,
            log=False,
        ),
        RegularizerDefinition(
            name="z_loss",
            implementation="mbo_search.optim.regularizers:ZLoss",
            summary="coefficient of the squared log-partition function of the logits, in the training loss only",
            paper="Chowdhery et al. 2022, PaLM, arXiv:2204.02311",
            low=0.0,
            high=1.0,
            search_low=1.0e-5,
            search_high=1.0e-3,
            log=True,
        ),
    ),
)
"""Regularizers by name. Decoupled weight decay and clipping by norm are settings of every stage instead."""
