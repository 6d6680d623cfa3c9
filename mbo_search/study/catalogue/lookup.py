"""The catalogue: names, settings, ranges, reference learning rates, costs and papers. Data only, no torch.

The rooms behind this one hold a constructor for each name; a test keeps both lists equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.study.catalogue.entries import (
    CorpusInfo,
    Hparam,
    LrShapeInfo,
    ModelSize,
)

_FLOOR = Hparam(default=0.0, low=0.0, high=1.0, summary="factor of the peak where the decay ends")

LR_SHAPES: Mapping[str, LrShapeInfo] = MappingProxyType(
    {
        "constant": LrShapeInfo(
            summary="the peak until the stage ends",
            paper="Robbins & Monro 1951, doi:10.1214/aoms/1177729586",
            hparams=MappingProxyType({}),
            anneals=False,
        ),
        "cosine": LrShapeInfo(
            summary="half a cosine from the peak to the floor",
            paper="Loshchilov & Hutter 2017, arXiv:1608.03983",
            hparams=MappingProxyType({"floor": _FLOOR}),
            anneals=True,
        ),
        "inv_sqrt": LrShapeInfo(
            summary="falls with the inverse square root of the steps, never to zero",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
            hparams=MappingProxyType(
                {
                    "timescale": Hparam(
                        default=0.05,
                        low=1.0e-4,
                        high=1.0,
                        summary="share of the budget after which the fall sets in",
                    ),
                    "floor": _FLOOR,
                }
            ),
            anneals=False,
        ),
        "linear": LrShapeInfo(
            summary="a straight line from the peak to the floor",
            paper="Bergsma et al. 2025, arXiv:2502.15938",
            hparams=MappingProxyType({"floor": _FLOOR}),
            anneals=True,
        ),
        "one_cycle": LrShapeInfo(
            summary="rises from 4 % to the peak, then falls to the floor, both along half a cosine",
            paper="Smith & Topin 2017, arXiv:1708.07120",
            hparams=MappingProxyType(
                {
                    "peak_at": Hparam(
                        default=0.3,
                        low=0.01,
                        high=0.9,
                        summary="share of the stage, warm-up aside, before the peak",
                    ),
                    "floor": _FLOOR,
                }
            ),
            anneals=True,
        ),
        "poly": LrShapeInfo(
            summary="a power of the straight line from the peak to the floor",
            paper="Chen et al. 2017, arXiv:1606.00915",
            hparams=MappingProxyType(
                {
                    "power": Hparam(default=2.0, low=0.1, high=8.0, summary="exponent; 1 is the straight line"),
                    "floor": _FLOOR,
                }
            ),
            anneals=True,
        ),
        "wsd": LrShapeInfo(
            summary="the peak, then a decay to the floor over the last part of the stage",
            paper="Hu et al. 2024, arXiv:2404.06395; Haegele et al. 2024, arXiv:2405.18392",
            hparams=MappingProxyType(
                {
                    "decay": Hparam(default=0.3, low=0.01, high=1.0, summary="share of the stage that decays"),
                    "kind": Hparam(default="sqrt", choices=("linear", "sqrt"), summary="line of the decay"),
                    "floor": _FLOOR,
                }
            ),
            anneals=True,
        ),
    }
)
"""Shapes by name; the functions are in `lr_shapes`."""

_CORPORA_EXTRA = "pip install 'mbo-search[corpora]'"

CORPORA: Mapping[str, CorpusInfo] = MappingProxyType(
    {
        "code": CorpusInfo(
            summary="Python sources of the standard library",
            num_bytes=10_200_000,
            needs="",
            license="PSF-2.0",
        ),
        "docs": CorpusInfo(
            summary="documentation strings of the standard library",
            num_bytes=1_440_000,
            needs="",
            license="PSF-2.0",
        ),
        "prose": CorpusInfo(
            summary="the King James Bible",
            num_bytes=4_130_000,
            needs=_CORPORA_EXTRA,
            license="MIT (package), public domain outside the United Kingdom (text)",
        ),
        "qa": CorpusInfo(
            summary="questions and answers in 28 languages, English and Chinese among them",
            num_bytes=1_000_000,
            needs=_CORPORA_EXTRA,
            license="BSD-3-Clause",
        ),
        "ref": CorpusInfo(
            summary="topics of Python's language reference",
            num_bytes=344_000,
            needs="",
            license="PSF-2.0",
        ),
    }
)
"""Built-in corpora by name; `qa` takes a language too, as in `qa:chinese`."""

MODEL_SIZES: Mapping[str, ModelSize] = MappingProxyType(
    {
        "tiny": ModelSize(layers=4, width=128, heads=4, context=128),
        "small": ModelSize(layers=6, width=256, heads=8, context=256),
        "base": ModelSize(layers=12, width=768, heads=12, context=1024),
    }
)
"""Presets by name: about 1, 6 and 100 million parameters with a small vocabulary."""
