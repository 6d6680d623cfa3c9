"""Hypothesis strategies for whole studies without mistakes, and a small valid study file as text."""

from __future__ import annotations

from hypothesis import strategies as st

from mbo_search.study.catalogue.baseline_names import baseline_names
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.space.defaults import with_defaults
from mbo_search.study.spec.foreign.custom import CustomRange
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.running import ResourcesSpec, StoreSpec
from mbo_search.study.spec.sections.searching import ConfirmSpec, ControlSpec, SearchSpec
from mbo_search.study.spec.sections.stages import StageDefaults, StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.study import Study

SMALL = """\
study: small
data: {source: docs}
model: {layers: 2, width: 64, heads: 2, context: 64}
budget: {tokens: 12800}
train: {batch_tokens: 64}
stages:
  - {name: warm, share: 0.5, optimizer: adamw, lr: 0.001}
  - {name: cool, share: rest, optimizer: [adamw, muon]}
"""

# Characters that YAML cares about among others, so that quoting is put to the test.
_CHARACTERS = "aZ09 .:-_#'\"{}[],&*!|>%@`~?=/\\\u00e9\u4e2d"
WORDS = st.text(_CHARACTERS, min_size=1, max_size=8).map(lambda text: text.strip() or "x") | st.sampled_from(
    ["null", "~", "true", "1", "1e3", ".5", "0x1F", "0o7", "1_000", "off", "2026-11-21", ".inf", "a: b", "- a"]
)
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)


def studies():
    """Any study that the rules accept, defaults filled in."""
    return st.tuples(_sections(), _stages(), _strategy(is_first=False), _custom()).map(
        lambda parts: with_defaults(
            Study(
                **parts[0],
                stages=[stage.model_copy(update={"custom": parts[3][2]}) for stage in parts[1]],
                stage_defaults=parts[2].model_copy(update={"custom": parts[3][1]}),
                custom=parts[3][0],
            )
        )
    )


def _custom():
    """Settings of the user's own: for the study, for all stages, and in place of the latter."""
    whole = st.integers(-9, 2**53)
    numbers = st.one_of(
        whole,
        _numbers(-1e9, 1e9),
        st.lists(whole, min_size=1, max_size=2, unique=True).map(tuple),
        st.sampled_from([CustomRange(low=1, high=8), CustomRange(low=0.1, high=8.0, log=True)]),
    )
    words = st.lists(WORDS.filter(str.isprintable), min_size=1, max_size=2, unique=True).map(tuple)
    flags = st.sampled_from([True, False, (True, False)])
    common = st.fixed_dictionaries({}, optional={"width": numbers, "mix": words, "flash": flags})
    own = st.fixed_dictionaries({"size": numbers}, optional={"source": words})
    return st.one_of(
        st.just(({}, None, None)),
        st.tuples(common, own, st.none() | own),
    ).map(lambda found: (found[0], found[1], None if found[2] is None else {"size": found[2]["size"]}))


def _numbers(low, high):
    return st.floats(low, high, allow_nan=False).map(lambda x: x + 0.0)  # no negative zero


def numerics(low, high):
    """A number, different choices, or an interval within bounds."""
    pair = st.lists(_numbers(low, high), min_size=2, max_size=2, unique=True).map(sorted)
    return st.one_of(
        _numbers(low, high),
        st.lists(_numbers(low, high), min_size=1, max_size=2, unique=True).map(tuple),
        pair.map(lambda ends: Range(low=ends[0], high=ends[1])),
    )


def _hparams(infos):
    settings = {}
    for name, info in infos.items():
        if info.choices:
            settings[name] = st.sampled_from(info.choices)
        elif info.whole:
            settings[name] = st.integers(int(info.low), int(info.high)).map(float)
        else:
            settings[name] = numerics(info.low, info.high)
    return st.fixed_dictionaries({}, optional=settings)


def _optimizers():
    choice = st.sampled_from(sorted(OPTIMIZERS)).flatmap(
        lambda name: st.builds(OptimizerChoice, name=st.just(name), hparams=_hparams(OPTIMIZERS[name].hparams))
    )
    return st.lists(choice, min_size=1, max_size=2, unique_by=lambda c: c.name).map(tuple)


def _lr_shapes():
    """Shapes with any settings; a mean of the weights begins on the grid, and in the last stage alone."""
    choice = st.sampled_from(sorted({*LR_SHAPES} - {"average"})).flatmap(
        lambda kind: st.builds(LrShapeChoice, kind=st.just(kind), hparams=_hparams(LR_SHAPES[kind].hparams))
    )
    return st.lists(choice, min_size=1, max_size=2, unique_by=lambda c: c.kind).map(tuple)


def _regularizers():
    """Sets of regularizers, but for those that need another one in their set."""
    alone = sorted(kind for kind, info in REGULARIZERS.items() if not info.needs)
    choice = st.sampled_from(alone).flatmap(
        lambda kind: st.builds(
            RegularizerChoice,
            kind=st.just(kind),
            strength=numerics(max(REGULARIZERS[kind].low, 1e-9), REGULARIZERS[kind].high),
        )
    )
    one_set = st.lists(choice, max_size=2, unique_by=lambda c: c.kind).map(tuple)
    return st.lists(one_set, min_size=1, max_size=2, unique_by=_kinds).map(tuple)


def _kinds(choices):
    return frozenset(choice.kind for choice in choices)


def _strategy(*, is_first, stage=False):
    settings = {
        "optimizer": _optimizers(),
        "lr": st.one_of(numerics(1e-6, 10.0), numerics(1e-3, 8.0).map(lambda x: RelativeLr(relative=x))),
        "lr_shape": _lr_shapes(),
        "weight_decay": numerics(1e-6, 2.0),
        "clip_norm": st.one_of(numerics(1e-3, 10.0), st.just("off")),
        "regularizers": _regularizers(),
        "trainable": st.lists(
            st.sampled_from(["all", "norms", "attention+mlp", "layers:0-0"]), min_size=1, unique=True
        ).map(tuple),
        "batch_tokens": st.lists(st.sampled_from([256, 512, 2048]), min_size=1, unique=True).map(tuple),
        "context": st.lists(st.sampled_from([16, 64]), min_size=1, unique=True).map(tuple),
    }
    if is_first or not stage:
        settings["warmup"] = numerics(0.0, 0.04)
    if not is_first:
        settings["hand_over"] = st.lists(st.sampled_from(["carry", "reset"]), min_size=1, unique=True).map(tuple)
        settings["rewarm"] = st.one_of(numerics(0.0, 0.04), st.just("auto"))
    if stage:
        return {name: setting for name, setting in settings.items() if name != "optimizer"}
    return st.fixed_dictionaries({}, optional=settings).map(lambda values: StageDefaults(**values))


def _stages():
    """A first stage, maybe a middle one, and an annealed last one that takes the rest."""
    first = st.fixed_dictionaries(
        {"name": st.just("first"), "share": _shares(), "optimizer": _optimizers()},
        optional=_strategy(is_first=True, stage=True),
    )
    middle = st.fixed_dictionaries(
        {"name": st.just("middle"), "share": _shares(), "optimizer": _optimizers()},
        optional=_strategy(is_first=False, stage=True),
    )
    annealed = st.lists(st.sampled_from(["linear", "cosine"]), min_size=1, unique=True).map(
        lambda kinds: tuple(LrShapeChoice(kind=kind) for kind in kinds)
    )
    last_settings = {k: v for k, v in _strategy(is_first=False, stage=True).items() if k != "lr_shape"}
    last = st.fixed_dictionaries(
        {"name": st.just("last"), "share": st.just("rest"), "optimizer": _optimizers(), "lr_shape": annealed},
        optional=last_settings,
    )
    return st.tuples(first, st.lists(middle, max_size=1), last).map(
        lambda parts: tuple(StageSpace(**values) for values in (parts[0], *parts[1], parts[2]))
    )


def _shares():
    return st.sampled_from(
        [0.1, 0.35, (0.2, 0.3), (0.05,), Range(low=0.1, high=0.4), Range(low=0.05, high=0.1)],
    )


def _sections():
    return st.fixed_dictionaries(
        {
            "study": NAMES,
            "seed": st.integers(0, 2**31 - 1),
            "data": _data(),
            "model": _models(),
            "budget": st.just(BudgetSpec(tokens=1_310_720, grid=0.05)),
            "train": st.builds(
                TrainSpec,
                batch_tokens=st.just(512),
                micro_batch=st.sampled_from(["auto", 1, 2]),
                precision=st.sampled_from(["auto", "float32", "bfloat16"]),
                threads=st.one_of(st.just("auto"), st.integers(1, 64)),
            ),
            "evaluation": st.builds(EvaluationSpec, tokens=st.integers(1, 10**9), points=st.integers(1, 100)),
            "reference_lr": st.dictionaries(st.sampled_from(sorted(OPTIMIZERS)), _numbers(1e-6, 1.0), max_size=2),
            "search": st.one_of(
                st.builds(SearchSpec, trials=st.integers(1, 10**6), budget=st.none() | st.integers(1, 10**15)),
                st.builds(SearchSpec, hours=_numbers(0.01, 1e4), searcher=st.sampled_from(["tpe", "random", "gp"])),
            ),
            "control": st.builds(ControlSpec, share=_numbers(0.0, 0.99), keeps=st.just("strategy")),
            "baselines": st.lists(
                st.sampled_from([*baseline_names(), "mine.yaml", "/a b/c.json"]), max_size=3, unique=True
            ).map(tuple),
            "confirm": st.none() | st.builds(ConfirmSpec, top=st.integers(1, 9), seeds=st.integers(1, 99)),
            "resources": st.builds(
                ResourcesSpec,
                workers=st.just("auto") | st.integers(1, 4096),
                gpus_per_trial=st.just("auto") | _numbers(0.0, 8.0),
                hang_minutes=_numbers(0.01, 1000.0),
                store=st.builds(
                    StoreSpec,
                    limit=st.just("auto") | st.integers(0, 10**15),
                    url=st.none() | st.sampled_from(["/shared/stages", "s3://bucket/prefix?region=us-east-1"]),
                ),
            ),
        }
    )


def _data():
    tokenizers = st.one_of(
        st.builds(TokenizerSpec, kind=st.just("bpe"), vocab_size=st.integers(300, 500_000)),
        st.just(TokenizerSpec(kind="bytes", vocab_size=None)),
        st.builds(TokenizerSpec, kind=st.just("file"), vocab_size=st.none(), path=WORDS),
    )
    return st.builds(
        DataSpec,
        source=st.lists(st.sampled_from(["docs", "ref"]) | WORDS, min_size=1, max_size=3).map(tuple),
        tokenizer=tokenizers,
        dedup=st.sampled_from(["none", "exact", "near"]),
        text_field=WORDS,
        min_characters=st.integers(1, 10**6),
        validation=st.none() | st.lists(WORDS, min_size=1, max_size=2).map(tuple),
        validation_share=_numbers(0.001, 0.49),
    )


def _models():
    return st.builds(
        lambda heads, head_width, layers, context, mlp_width, tied: ModelSpec(
            layers=layers,
            width=heads * head_width,
            heads=heads,
            context=context,
            mlp_width=mlp_width,
            tie_embeddings=tied,
        ),
        st.integers(1, 16),
        st.sampled_from([8, 32, 64]),
        st.integers(1, 100),
        st.sampled_from([64, 128, 256]),
        st.none() | st.integers(8, 10**5),
        st.booleans(),
    )
