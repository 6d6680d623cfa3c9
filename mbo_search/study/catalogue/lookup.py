"""Built-in corpora and presets of the decoder's sizes, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.study.catalogue.entries import CorpusInfo, ModelSize

_CORPORA_EXTRA = "pip install 'mbo-search[corpora]'"

CORPORA: Mapping[str, CorpusInfo] = MappingProxyType(
    {
        "classify": CorpusInfo(
            summary="documentation strings of the standard library, each with its top-level module",
            num_bytes=600_000,
            needs="",
            license="PSF-2.0",
            columns=("docstring", "module", "name"),
            task=MappingProxyType({"text": "{docstring}\n\nModule:\n", "label": "module"}),
        ),
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
            columns=("question", "answer", "topic"),
        ),
        "ref": CorpusInfo(
            summary="topics of Python's language reference",
            num_bytes=344_000,
            needs="",
            license="PSF-2.0",
        ),
        "summarize": CorpusInfo(
            summary="functions of the standard library, each with the first line of its documentation string",
            num_bytes=2_000_000,
            needs="",
            license="PSF-2.0",
            columns=("function", "summary", "name", "module"),
            task=MappingProxyType({"prompt": "{function}\n\nSummary:\n", "completion": "summary"}),
        ),
        "translate": CorpusInfo(
            summary="names of languages, territories and currencies, English with their Chinese and French",
            num_bytes=100_000,
            needs=_CORPORA_EXTRA,
            license="BSD-3-Clause (package), Unicode-3.0 (names)",
            columns=("english", "translation", "language", "kind"),
            task=MappingProxyType(
                {
                    "prompt": "{english} ({kind}) in {language}:\n",
                    "completion": "translation",
                    "group": "english",
                }
            ),
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
