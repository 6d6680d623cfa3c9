"""Exported programs train to the very loss that this package trains to, for all that a study can say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from mbo_search.export.python import pieces
from mbo_search.export.python.features import OPTIMIZERS as WRITTEN
from mbo_search.export.python.features import SHAPES, features_of
from mbo_search.export.python.program import program
from mbo_search.export.python.recipe import recipe_of
from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import BlockGroup, LrShape, Regularizer, Schedule
from tests.export.python.conftest import stage

NUM_STAGES = 10
RUFF = Path(sys.executable).parent / "ruff"
PIECES = Path(pieces.__file__).parent
COSINE = LrShape(kind="cosine", hparams={"floor": 0.0})
REGULARIZERS = {
    "clip_value": 0.01,
    "dropout": 0.1,
    "ema_fold": 0.9,
    "gradient_noise": 1e-3,
    "l1": 0.01,
    "l2": 0.01,
    "l2_sp": 0.01,
    "label_smoothing": 0.1,
    "z_loss": 0.01,
}


def on(*kinds):
    return tuple(Regularizer(kind=kind, strength=REGULARIZERS[kind]) for kind in kinds)


MUON_SOAP_ADAMW = (
    stage("warm", 0.2, "muon", warmup=0.05),
    stage("main", 0.4, "soap", hand_over="reset", regularizers=on("z_loss")),
    stage("cool", 0.4, hand_over="carry", lr_shape=COSINE),
)
"""The shape of schedules that the quickstart finds."""

MANY_REGULARIZERS = (
    stage("without", 0.3),
    stage("with", 0.4, "sf_adamw", hand_over="carry", regularizers=on(*REGULARIZERS), clip_norm=0.5),
    stage("some", 0.3, "sf_adamw", hand_over="carry", regularizers=on("dropout", "ema_fold", "z_loss")),
)


@pytest.mark.parametrize("stages", [MUON_SOAP_ADAMW, MANY_REGULARIZERS])
def test_a_program_gives_the_recorded_loss_to_the_last_bit(stages, same_loss):
    same_loss(*stages)


def test_the_model_may_have_other_sizes_and_precision(lab, same_loss):
    model = lab.setup.model.model_copy(update={"tie_embeddings": False, "mlp_width": 24})
    same_loss(stage("all", 1.0, regularizers=on("dropout")), model=model, precision="bfloat16")


def chains():
    """Walks along all pairs of optimizers that can carry state, in schedules of ten stages."""
    left = {(old, new) for old in WRITTEN for new in WRITTEN if can_carry(old, new)}
    while left:
        walk = [(min(left)[0], None)]
        while left and len(walk) < NUM_STAGES:
            following = sorted(pair for pair in left if pair[0] == walk[-1][0])
            walk.append((following[0][1], "carry") if following else (min(left)[0], "reset"))
            left -= set(following[:1])
        walk += [("adamw", "reset")] * (NUM_STAGES - len(walk))
        yield tuple(walk)


CHAINS = tuple(chains())


def chain_of(number):
    """Stages with other numbers in each, so that the same optimizer is carried to other ones, too."""
    return [
        stage(f"{place}", 0.1, optimizer, hand_over=mode, **settings(optimizer, place))
        for place, (optimizer, mode) in enumerate(CHAINS[number])
    ]


def settings(optimizer, place):
    hparams = {key: float(info.default) for key, info in OPTIMIZERS[optimizer].hparams.items()}
    if "beta1" in hparams:
        hparams["beta1"] -= 0.01 * (place % 3)
    if optimizer == "soap":
        hparams["precondition_frequency"] = 1.0 + place % 2
    if "aux_lr_ratio" in hparams:
        hparams["aux_lr_ratio"] = 0.5
    return {"hparams": hparams, "lr": OPTIMIZERS[optimizer].reference_lr, "weight_decay": 0.1 * (place % 2)}


def test_every_pair_that_can_carry_is_in_a_chain():
    found = {(old[0], new[0]) for chain in CHAINS for old, new in pairwise(chain) if new[1] == "carry"}
    assert found == {(old, new) for old in WRITTEN for new in WRITTEN if can_carry(old, new)}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CHAINS)))
def test_state_is_handed_over_between_all_pairs_of_optimizers(number, same_loss):
    same_loss(*chain_of(number))


def shaped(name):
    hparams = {key: info.default for key, info in LR_SHAPES[name].hparams.items()}
    floor = {"floor": 0.1} if "floor" in hparams else {}
    return (
        stage("first", 0.5, warmup=0.1, lr_shape=LrShape(kind=name, hparams={**hparams, **floor})),
        stage("second", 0.5, hand_over="carry", lr_shape=LrShape(kind=name, hparams=hparams)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_learning_rates_have_every_shape(name, same_loss):
    same_loss(*shaped(name))


def regularized(kind):
    return (
        stage("without", 0.2),
        stage("with", 0.3, hand_over="carry", regularizers=on(kind)),
        stage("still", 0.3, "sf_adamw", hand_over="reset", regularizers=on(kind)),
        stage("no more", 0.2, hand_over="carry"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", REGULARIZERS)
def test_regularizers_begin_stay_and_end(kind, same_loss):
    same_loss(*regularized(kind))


def frozen(optimizer):
    groups = {
        "attention": BlockGroup(lr_ratio=0.5, weight_decay=0.3),
        "embeddings": BlockGroup(lr_ratio=2.0),
        "mlp": BlockGroup(weight_decay=0.0),
    }
    return (
        stage("top", 0.3, optimizer, trainable="layers:1-1+norms", layer_decay=0.7),
        stage("all", 0.4, optimizer, hand_over="carry", groups=groups, layer_decay=0.9, clip_norm=None),
        stage("some", 0.3, optimizer, hand_over="carry", trainable="embeddings+mlp", groups=groups),
    )


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "sf_adamw", "soap", "ademamix"])
def test_blocks_freeze_and_have_rates_and_decays_of_their_own(optimizer, same_loss):
    same_loss(*frozen(optimizer))


@pytest.mark.slow
def test_the_text_is_shuffled_anew_in_every_epoch(lab, same_loss):
    steps = {"steps_per_segment": 30}
    tokens = lab.prepared.metadata.splits["train"].num_tokens
    assert tokens < lab.with_setup(**steps).setup.budget().total_tokens
    same_loss(stage("all", 1.0), **steps)


def all_schedules():
    """Schedules that together have everything a program can hold."""
    found = [
        (stage("one", 1.0),),
        (stage("unclipped", 1.0, clip_norm=None),),
        MUON_SOAP_ADAMW,
        MANY_REGULARIZERS,
        *(chain_of(number) for number in range(len(CHAINS))),
        *(shaped(name) for name in SHAPES),
        *(regularized(kind) for kind in REGULARIZERS),
        *(frozen(optimizer) for optimizer in ("adamw", "muon", "sf_adamw")),
    ]
    return [Schedule(stages=tuple(stages)) for stages in found]


def test_programs_are_as_ruff_leaves_them(lab, tmp_path):
    on_gpu = lab.with_setup(device="cuda", precision="bfloat16")
    for number, schedule in enumerate(all_schedules()):
        one = on_gpu if number % 4 == 2 else lab
        (tmp_path / f"program_{number}.py").write_text(one.text(schedule), encoding="utf-8")
    rules = "E,F,W,I,B,UP,C4,SIM,RUF,PT,RET,PTH,D101,D102,D103"
    for command in (["format", "--check", "--isolated"], ["check", "--isolated", "--select", rules]):
        done = subprocess.run([RUFF, *command, tmp_path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_pieces_ask_for_nothing_that_no_schedule_has(lab):
    on_gpu = lab.with_setup(device="cuda", precision="bfloat16")
    recipes = [recipe_of(lab.file(schedule), one.setup) for schedule in all_schedules() for one in (lab, on_gpu)]
    known = frozenset().union(*(features_of(recipe) for recipe in recipes))
    rules = re.findall(r"# only: (.*)", "".join(path.read_text("utf-8") for path in PIECES.glob("[a-z]*.py")))
    assert {word for rule in rules for word in rule.split()} - {"and", "or", "not"} - known == set()


def test_programs_are_short_and_know_nothing_of_this_package(lab):
    for stages, most_lines in (((stage("one", 1.0),), 300), (MUON_SOAP_ADAMW, 400)):
        text = lab.text(Schedule(stages=stages))
        assert text.count("\n") <= most_lines
        assert "mbo" not in text
        assert "# only" not in text
        assert text.isascii()


def test_names_of_strangers_cannot_end_the_docstring(lab):
    file = lab.file(Schedule(stages=(stage('a"""\\', 1.0),)))
    hostile = file.study.model_copy(update={"study": 'x"""\nimport os\n"""'})
    text = program(
        recipe_of(file, lab.setup),
        file.model_copy(update={"study": hostile}),
        token_type="<u2",
        name='"""best.py',
        remarks=(),
    )
    tree = ast.parse(text)
    assert "import os" in ast.get_docstring(tree)
    assert not any(isinstance(node, ast.Import) and node.names[0].name == "os" for node in ast.walk(tree))
    (literal,) = (node for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "STAGES")
    assert ast.literal_eval(literal.value)[0]["name"] == 'a"""\\'
