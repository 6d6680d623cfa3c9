"""Proves that every kind of bad study file is refused with its place, its value and a way out, all mistakes at
once, and that one mistake is reported once."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.study.files.study_file import load_study, parse_study
from tests.study.studies import SMALL


def problems_of(text, overrides=()):
    with pytest.raises(StudyError) as caught:
        parse_study(text, "bad.yaml", overrides)
    return caught.value.problems


def messages_of(text):
    return [str(problem) for problem in problems_of(text)]


def with_stage(settings):
    """The small study with more settings in its first stage; they stand in line 7, from column 61 on."""
    return SMALL.replace("lr: 0.001}", f"lr: 0.001, {settings}}}")


def with_last_stage(settings):
    return SMALL.replace("[adamw, muon]}", f"[adamw, muon], {settings}}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml: is empty"),
        ("# nothing\n", "bad.yaml: must be a mapping with the keys of a study"),
        ("just a sentence", "bad.yaml: must be a mapping"),
        ("- a\n- b\n", "bad.yaml: must be a mapping"),
        ("study: [a\n", "bad.yaml:2:1: is not valid YAML: "),
        ("study: a\n\tseed: 1\n", "bad.yaml:2:1: is indented with a tab; use spaces"),
        ("study: a\x00b\n", "bad.yaml:1:9: holds a NUL byte"),
        ("study: a\x07b\n", "bad.yaml: is not valid YAML: "),
        ("study: a: b\n", "bad.yaml:1:9: is not valid YAML: "),
        ("study: @a\n", "bad.yaml:1:8: is not valid YAML: "),
        ("[" * 40 + "]" * 40, "bad.yaml: is nested deeper than 20 levels"),
        ("a: [" + "1, " * 6_000 + "]", "bad.yaml: holds more than 5000 values"),
        ("a: " + "x" * 300_000, "bad.yaml: is larger than 256 KiB"),
        ("? {a: b}\n: c\n", "bad.yaml:1:3: has a key that is not a name"),
        (f"{SMALL}---\n{SMALL}", "bad.yaml: holds 2 YAML documents; a study file is one"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_study_file_at_all_is_refused(text, message):
    assert any(found.startswith(message) for found in messages_of(text))


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert any("aliases are not read" in message for message in messages_of("\n".join(lines)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: &seed 3", "bad.yaml:9:7: seed: has an anchor (&seed); anchors are not read (settings that several"),
        ("seed: *seed", "bad.yaml:9:7: seed: is an alias (*seed); aliases are not read (settings that several"),
        ("seed: !!int 3", "bad.yaml:9:7: seed: has a tag (!!int); tags are not read"),
        ("evaluation: !python/object {tokens: 512}", "has a tag (!python/object); tags are not read"),
        ("study: again", "bad.yaml:9:1: study: appears twice; the first one is at bad.yaml:1:1"),
        ("evaluation: {points: 3, points: 4}", "bad.yaml:9:25: evaluation.points: appears twice"),
        ("sede: 3", "bad.yaml:9:1: sede: is not a known key (did you mean seed?)"),
        ("1: 3", "bad.yaml:9:1: 1: is not a known key (known are study, seed"),
        ("seed: three", "bad.yaml:9:7: seed: three must be a whole number"),
        ('seed: "3"', 'bad.yaml:9:7: seed: "3" must be a whole number'),
        ("seed: 3.5", "seed: 3.5 must be a whole number"),
        ("seed: -1", "seed: -1 must be at least 0"),
        ("seed: 2147483648", "seed: 2147483648 must be less than 2147483648"),
        ("seed: null", "seed: null must be a whole number"),
        ("seed: [1, 2]", "seed: [1, 2] must be a whole number"),
        ("control: 1.0", "control: 1 must be less than 1"),
        ("control: .nan", "control: .nan must be a finite number"),
        ("control: true", "control: true must be a number"),
        ("evaluation: 50k", "evaluation: 50k must be a mapping"),
        ("evaluation: {tokens: 40q}", "evaluation.tokens: 40q must be a whole number, such as 400000, 400k"),
        ("evaluation: {tokens: 1.5}", "evaluation.tokens: 1.5 must be a whole number"),
        ("evaluation: {tokens: -5}", "evaluation.tokens: -5 must be greater than 0"),
        ("evaluation: {point: 3}", "evaluation.point: is not a known key (did you mean points?)"),
        ("search: {searcher: tpee}", "tpe, random, gp, greedy, beam2, beam4, grid (did you mean tpe?)"),
        ("search: {pruner: yes}", "search.pruner: yes must be one of off, boundary"),
        ("search: {trials: 0}", "search.trials: 0 must be at least 1"),
        ("search: {hours: 0}", "search.hours: 0 must be greater than 0"),
        ("confirm: {top: 0}", "confirm.top: 0 must be at least 1"),
        ("confirm: yes", "confirm: yes must be a mapping"),
        ("resources: {workers: many}", "resources.workers: many must be a whole number or auto"),
        ("resources: {workers: 0}", "resources.workers: 0 must be at least 1, or auto"),
        ("resources: {gpus_per_trial: -0.5}", "resources.gpus_per_trial: -0.5 must be at least 0, or auto"),
        ("reference_lr: {adanw: 1e-3}", "reference_lr.adanw: adanw is not an optimizer"),
        ("reference_lr: {adamw: 0}", "reference_lr.adamw: 0 must be greater than 0"),
        ("reference_lr: {adamw: fast}", "reference_lr.adamw: fast must be a number"),
        ("baselines: [adamw_cosin]", "bad.yaml:9:13: baselines.0: adamw_cosin is neither"),
        ("baselines: [sf_adamw_cosine]", "did you mean"),
        ("baselines: [lion_wsd, lion_wsd]", "baselines.1: lion_wsd appears twice"),
        ("stage_defaults: {lr: }", "stage_defaults.lr: has no value; leave the key out"),
        ("stage_defaults: {learning_rate: 1}", "stage_defaults.learning_rate: is not a known key"),
    ],
)
def test_a_bad_line_is_reported_with_its_place(line, message):
    found = messages_of(f"{SMALL}{line}\n")
    assert message in found[0]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("study: small", "study: ../small", "study: '../small' must be 1 to 100 letters"),
        ("study: small", "study: .hidden", "must be 1 to 100 letters"),
        ("study: small\n", "", "bad.yaml:1:1: study: is missing"),
        ("source: docs", "source: []", "data.source: [] must be a list with at least one value"),
        ("source: docs", "source: 3", "data.source: 3 must be a list"),
        ("source: docs", "source: [3]", "data.source.0: 3 must be text"),
        ("source: docs", "sources: docs", "data.sources: is not a known key (did you mean source?)"),
        ("docs}", "docs, tokenizer: {kind: bpe}}", "data.tokenizer.vocab_size: is missing"),
        (
            "docs}",
            "docs, tokenizer: {kind: bpe, vocab_size: 20}}",
            "data.tokenizer.vocab_size: 20 must be at least 300",
        ),
        ("docs}", "docs, tokenizer: {kind: file}}", "data.tokenizer.path: is missing"),
        ("docs}", "docs, tokenizer: {kind: bytes, vocab_size: 400}}", "has no meaning for kind bytes"),
        ("docs}", "docs, tokenizer: word}", "data.tokenizer: word must be one of bytes, bpe, file"),
        ("docs}", "docs, validation_share: 0.5}", "data.validation_share: 0.5 must be less than 0.5"),
        ("width: 64", "width: 63", "model.width: 63 must be a multiple of model.heads, 2"),
        ("width: 64", "width: 66", "model.width: 66 gives heads of width 33; rotary positions need an even one"),
        ("width: 64, ", "", "bad.yaml:3:8: model.width: is missing"),
        ("layers: 2", "layer: 2", "model.layer: is not a known key (did you mean layers?)"),
        ("{layers: 2, width: 64, heads: 2, context: 64}", "tiny", "model: tiny must be a mapping"),
        ("{layers: 2, width: 64, heads: 2, context: 64}", "{size: tinny}", "did you mean tiny?"),
        ("12800}", "12800, grid: 0.3}", "budget.grid: 0.3 must divide 1 into a whole number of parts"),
        ("12800}", "12800, grid: 0}", "budget.grid: 0 must be at least 0.001"),
        ("tokens: 12800", "tokens: 1000", "budget.tokens: 1000 is below one optimizer step per grid segment"),
        ("batch_tokens: 64", "batch_tokens: 100", "(the nearest are 64 and 128)"),
        ("batch_tokens: 64", "batch_tokens: 640, micro_batch: 3", "must divide the 10 sequences of a batch"),
        ("batch_tokens: 64", "batch_tokens: 64, threads: 0", "train.threads: 0 must be at least 1, or auto"),
        ("batch_tokens: 64", "batch_tokens: 64, precision: fp16", "train.precision: fp16 must be one of auto"),
        ("name: cool", "name: warm", "stages.1.name: warm is the name of two stages"),
        ("name: cool", "name: a/b", "stages.1.name: 'a/b' must be"),
        ("name: cool, ", "", "stages.1.name: is missing"),
        ("share: 0.5, ", "", "stages.0.share: is missing"),
        ("optimizer: adamw, ", "", "stages.0.optimizer: is missing in stage warm"),
        ("share: 0.5", "share: 0.52", "stages.0.share: 0.52 must be a multiple of the grid, 0.05"),
        ("share: 0.5", "share: 0", "stages.0.share: 0 must be greater than 0 and at most 1"),
        ("share: 0.5", "share: 1.5", "stages.0.share: 1.5 must be greater than 0 and at most 1"),
        ("share: 0.5", "share: {low: 0.5, high: 0.2}", "stages.0.share: {low: 0.5, high: 0.2} must have low below"),
        ("share: 0.5", "share: half", "stages.0.share: half must be a number"),
        ("share: 0.5", "share: rest", "stages.0.share: rest is for the last stage only"),
        ("share: rest", "share: 0.4", "stages: 0.5 + 0.4 have shares that sum to 0.9; they must sum to 1"),
        ("share: 0.5", "share: 1.0", "leave at most 0 of the budget for the last stage; it needs 0.05"),
        ("share: 0.5", "share: [0.5, 0.95]", "may decay over only 5.0% of the budget"),
    ],
    ids=lambda value: value[:40],
)
def test_a_bad_setting_is_reported_once(old, new, message):
    assert old in SMALL
    found = messages_of(SMALL.replace(old, new))
    assert message in found[0]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("optimizer: []", "appears twice"),
        ("lr_shape: []", "stages.0.lr_shape: [] must be a list with at least one value"),
        ("lr_shape: cosin", "stages.0.lr_shape: cosin is not a learning-rate shape"),
        ("lr_shape: [linear, linear]", "linear appears twice among the choices"),
        (
            "lr_shape: {wsd: {decai: 0.3}}",
            "wsd.decai: is not a setting of wsd; known are decay, floor, kind (did you",
        ),
        ("lr_shape: {wsd: {kind: cubic}}", "wsd.kind: cubic is not a valid choice; known are linear, sqrt"),
        ("lr_shape: {wsd: {decay: 3}}", "wsd.decay: 3 must be in [0.01, 1]"),
        ("lr_shape: {wsd: {decay: sqrt}}", "wsd.decay: sqrt must be a number"),
        ("lr_shape: {wsd: 0.3}", "lr_shape.wsd: 0.3 must be a mapping"),
        ("lr_shape: [{wsd: {}, linear: {}}]", "must be a name, or a name with its settings"),
        ("lr_shape: 3", "must be a name, or a name with its settings"),
        ("warmup: -0.1", "stages.0.warmup: -0.1 must be a share of the budget in [0, 1)"),
        ("warmup: 0.5", "stages.0.warmup: 0.5 is 100 steps; it must be shorter than its stage"),
        ("warmup: auto", "stages.0.warmup: auto must be a number, a list of numbers"),
        ("weight_decay: {low: 0, high: 1}", "weight_decay.low: 0 must be greater than 0, because weight decay is"),
        ("weight_decay: {low: 1, high: 0.1}", "must have low below high"),
        ("weight_decay: {low: 1}", "stages.0.weight_decay.high: is missing"),
        ("weight_decay: {low: 1, hihg: 2}", "weight_decay.hihg: is not a known key (did you mean high?)"),
        ("weight_decay: {low: a, high: 2}", "weight_decay.low: a must be a number"),
        ("weight_decay: []", "must be a list with at least one value"),
        ("weight_decay: [0.1, 0.1]", "0.1 appears twice among the choices"),
        ("weight_decay: -1", "must not be negative"),
        ("weight_decay: .inf", "must be a finite number"),
        ("clip_norm: none", "must be a number, a list of numbers, {low: ..., high: ...}, or off"),
        ("clip_norm: 0", "stages.0.clip_norm: 0 must be greater than 0"),
        ("regularizers: []", "is an empty choice (write [[]] for none"),
        ("regularizers: [{dropout: 0.1}]", "must be a set of regularizers in brackets (write"),
        ("regularizers: [[dropout]]", "must be a regularizer with its number, such as {dropout: 0.1}"),
        ("regularizers: [[{dropot: 0.1}]]", "dropot is not a regularizer; known are "),
        ("regularizers: [[{dropout: 2}]]", "dropout: 2 must be in [0, 0.9] for dropout"),
        ("regularizers: [[{dropout: 0.1}, {dropout: 0.2}]]", "dropout appears twice in one set"),
        ("regularizers: [[{dropout: 0.1}], [{dropout: 0.2}]]", "dropout is a set that appears twice (list the"),
        ("regularizers: [[{z_loss: {low: 0, high: 1e-3}}]]", "because z_loss is searched on a logarithmic scale"),
        ("regularizers: [[{dropout: high}]]", "dropout: high must be a number"),
        ("trainable: head", "trainable: head must be `all`, or blocks joined by +"),
        ("trainable: norms+hed", "trainable: norms+hed must be `all`, or blocks joined by +"),
        ("trainable: 'layers:0-5'", "must name layers from 0 to 1, the first one first"),
        ("trainable: [all, all]", "all appears twice among the choices"),
        ("hand_over: carry", "stages.0.hand_over: has no meaning in the first stage"),
        ("rewarm: auto", "stages.0.rewarm: has no meaning in the first stage"),
    ],
)
def test_a_bad_choice_in_a_stage_is_reported_once(settings, message):
    found = messages_of(with_stage(settings))
    assert message in found[0]
    assert len(found) == 1
    assert found[0].startswith("bad.yaml:7:")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("warmup: 0.1", "stages.1.warmup: has a meaning in the first stage only (the warm-up of a later stage is"),
        ("hand_over: kary", "stages.1.hand_over: kary must be one of carry, reset (did you mean carry?)"),
        ("hand_over: []", "must be a list with at least one value"),
        ("lr_shape: constant", "constant may leave the learning rate at 1 of its peak"),
        ("lr_shape: [linear, inv_sqrt]", "stages.1.lr_shape.1: inv_sqrt may leave the learning rate at"),
        ("lr_shape: {linear: {floor: [0.0, 0.2]}}", "linear may leave the learning rate at 0.21 of its peak"),
        ("lr_shape: {wsd: {decay: 0.1}}", "wsd may decay over only 5.0% of the budget"),
        ("rewarm: [0.0, 0.5]", "stages.1.rewarm: 0.5 is 100 steps; it must be shorter than its stage"),
        ("rewarm: never", "or auto"),
        ("lr: {relativ: 1}", "must be a number, a list of numbers, {low: ..., high: ...}, or {relative: ...}"),
        ("lr: {relative: 0}", "stages.1.lr.relative: 0 must be greater than 0"),
        ("lr: {relative: {low: 0, high: 1}}", "must be greater than 0"),
        ("lr: 0", "stages.1.lr: 0 must be greater than 0"),
        ("lr: fast", "stages.1.lr: fast must be a number"),
    ],
)
def test_a_bad_choice_in_a_later_stage_is_reported_once(settings, message):
    found = messages_of(with_last_stage(settings))
    assert message in found[0]
    assert len(found) == 1
    assert found[0].startswith("bad.yaml:8:")


def test_a_last_stage_that_only_knows_schedule_free_needs_no_decay():
    text = SMALL.replace("[adamw, muon]}", "sf_adamw, lr_shape: constant}")
    assert parse_study(text, "good.yaml").stages[1].optimizer[0].name == "sf_adamw"


def test_mistakes_in_the_defaults_are_reported_there():
    text = SMALL + "stage_defaults: {lr_shape: constant}\n"
    assert messages_of(text)[0].startswith("bad.yaml:9:28: stage_defaults.lr_shape: constant may leave")


ALL_AT_ONCE = """\
study: "bad name/"
data: {source: [docs], tokenizer: {kind: bpe}, dedupp: near}
model: {layers: 4, width: 130, heads: 4, context: 128, tie_embeddings: yes}
budget: {tokens: 40q, grid: 0.07}
train: {batch_tokens: 1000, micro_batch: few, threads: "2"}
evaluation: [1]
stages:
  - name: warm
    share: 0.3
    optimizer: [adanw, {adamw: {beta3: 1, beta2: 2}}, {muon: }]
    lr: {relative: {low: 3, hihg: 2.0}}
    lr_shape: []
    warmup: .inf
    hand_over: carry
    regularizers: [dropout, [{dropot: 1}], [{dropout: 3}]]
  - {name: warm, share: 0.6, optimizer: [adamw], lr_shape: constant, trainable: head, hand_over: [kary], extra: 1}
search: {searcher: tpee}
baselines: [adamw_cosin]
confirm: {top: 0}
sutdy: 3
"""


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file():
    problems = problems_of(ALL_AT_ONCE)
    assert [problem.key for problem in problems] == [
        "study",
        "data.tokenizer.vocab_size",
        "data.dedupp",
        "model.width",
        "model.tie_embeddings",
        "budget.tokens",
        "budget.grid",
        "train.batch_tokens",
        "train.micro_batch",
        "train.threads",
        "evaluation",
        "stages.0.optimizer.0",
        "stages.0.optimizer.1.adamw.beta3",
        "stages.0.optimizer.1.adamw.beta2",
        "stages.0.lr.relative.hihg",
        "stages.0.lr_shape",
        "stages.0.warmup",
        "stages.0.hand_over",
        "stages.0.regularizers.0",
        "stages.0.regularizers.1.0.dropot",
        "stages.0.regularizers.2.0.dropout",
        "stages.1.name",
        "stages.1.trainable",
        "stages.1.hand_over.0",
        "stages.1.extra",
        "search.searcher",
        "baselines.0",
        "confirm.top",
        "sutdy",
    ]
    lines = [int(problem.where.split(":")[1]) for problem in problems]
    assert lines == sorted(lines)


def test_shares_are_checked_beside_other_mistakes():
    messages = messages_of(
        SMALL.replace("share: rest", "share: 0.4").replace("width: 64", "width: 63") + "sed: 1\n"
    )
    assert len(messages) == 3


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: b.decode("latin-1")))
def test_no_text_whatsoever_gives_anything_but_a_study_error(text):
    with pytest.raises(StudyError):
        parse_study(text, "noise.yaml")


@given(
    st.integers(0, len(ALL_AT_ONCE)),
    st.sampled_from([*"[]{}:,&*!'\"#|>-?%@ \n\t", "  ", "null", "\u4e2d"]),
)
def test_any_slip_in_a_file_gives_a_study_or_a_study_error(position, slip):
    text = SMALL[: position % len(SMALL)] + slip + SMALL[position % len(SMALL) :]
    problems = ()
    try:
        parse_study(text, "slip.yaml")
    except StudyError as error:
        problems = error.problems
    assert all(problem.where for problem in problems)


def test_a_folder_is_no_study_file(tmp_path):
    with pytest.raises(StudyError, match="is a folder; a file is needed"):
        load_study(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nothing\.yaml: does not exist"):
        load_study(tmp_path / "nothing.yaml")


def test_a_file_without_permission_is_named(tmp_path):
    file = tmp_path / "loop.yaml"
    file.symlink_to(file)
    with pytest.raises(StudyError, match=r"loop\.yaml: cannot be read"):
        load_study(file)


def test_a_file_that_is_no_utf_8_is_refused_with_its_place(tmp_path):
    file = tmp_path / "latin.yaml"
    file.write_bytes("study: a\n# caf\u00e9\n".encode("latin-1"))
    with pytest.raises(StudyError, match=r"latin\.yaml:2:6: is not UTF-8 text"):
        load_study(file)


def test_a_huge_file_is_refused_without_reading_it_whole(tmp_path):
    file = tmp_path / "huge.yaml"
    file.write_bytes(b"#" * 300_000)
    with pytest.raises(StudyError, match="is larger than 256 KiB"):
        load_study(file)


def test_missing_data_tokenizer_and_schedule_files_are_reported_together(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(SMALL)
    overrides = [
        "data.source=[dcos, 'no/*.txt']",
        "data.tokenizer={kind: file, path: none.json}",
        "data.validation=val.txt",
        "baselines=[mine.yaml]",
    ]
    with pytest.raises(StudyError) as caught:
        load_study(file, overrides)
    assert sorted(problem.key for problem in caught.value.problems) == [
        "baselines.0",
        "data.source.0",
        "data.source.1",
        "data.tokenizer.path",
        "data.validation",
    ]
    assert "did you mean docs?" in str(caught.value)


def test_paths_that_cannot_even_be_looked_for_are_problems_of_their_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "study.yaml"
    file.write_text(_study_with_paths(), encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(file)
    found = {problem.key: str(problem) for problem in caught.value.problems}
    home = "names the home folder of a user whom this machine does not know"
    assert home in found["data.source.0"]
    assert "cannot be looked for: File name too long" in found["data.source.1"]
    assert home in found["data.validation.0"]
    assert home in found["data.tokenizer.path"]
    assert home in found["baselines.0"]


def _study_with_paths() -> str:
    return f"""
study: paths
data:
  source: ["~nobody-of-this-name/x", {"y" * 5000}]
  validation: ["~nobody-of-this-name/v"]
  tokenizer: {{kind: file, path: "~nobody-of-this-name/t"}}
model: {{size: tiny}}
budget: {{tokens: 400k}}
train: {{batch_tokens: 1024}}
stages: [{{name: only, share: rest}}]
search: {{trials: 4}}
baselines: ["~nobody-of-this-name/b.yaml"]
"""


def test_a_folder_whose_name_is_not_utf8_is_a_problem_of_the_paths_in_it(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "text.txt").write_text("text", encoding="utf-8")
    file = folder / "study.yaml"
    file.write_text(_study_with_paths().replace("~nobody-of-this-name/x", "text.txt"), encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(file)
    told = next(str(problem) for problem in caught.value.problems if problem.key == "data.source.0")
    assert "caf\\xe9/text.txt, a name that is not UTF-8, which no study file can hold" in told
