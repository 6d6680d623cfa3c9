"""Short forms of a study file, written out: a bare name becomes a list of one choice, `400k` a number, and so on.

Works on the tree, so that every value keeps the position and the key path under which its author knows it. What has
no meaning in any form is reported and left out, which lets the rest be checked as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from mbo_search.errors import Problem
from mbo_search.study.catalogue.lookup import MODEL_SIZES
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.files.yaml_tree import ListNode, MapNode, Node, ScalarNode, child_path, shown
from mbo_search.units import parse_count

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A study file in its long form.

    Attributes:
        root: The tree; parts without meaning are left out.
        problems: What was left out and why.
        dropped: Long-form key paths of what was left out.
    """

    root: MapNode
    problems: tuple[Problem, ...]
    dropped: frozenset[str]


def expand(root: MapNode) -> Expanded:
    """Write out the short forms of a whole study file."""
    forms = _Forms()
    entries = {key: forms.at(key, _SECTIONS.get(key, _as_is), node) for key, node in root.entries.items()}
    kept = {key: node for key, node in entries.items() if node is not None}
    return Expanded(
        root=replace(root, entries=kept), problems=tuple(forms.problems), dropped=frozenset(forms.dropped)
    )


def plain(node: Node) -> Json:
    """The bare value of a tree."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.entries.items()}


@dataclass(slots=True, kw_only=True)
class _Forms:
    """Collects problems while the forms below rewrite a tree; knows the long-form path of where they are."""

    problems: list[Problem] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    path: str = ""

    def at(self, key: str | int, form: _Form, node: Node) -> Node | None:
        """Apply a form to a child."""
        outer = self.path
        self.path = child_path(outer, key)
        result = form(self, node)
        if result is None:
            self.dropped.add(self.path)
        self.path = outer
        return result

    def refuse(self, node: Node, rule: str, hint: str = "") -> None:
        """Report a value; the caller leaves it out."""
        self.problems.append(Problem(key=node.path, value=shown(node), rule=rule, hint=hint, where=node.where))

    def children(self, node: MapNode, forms: Mapping[str, _Form]) -> MapNode:
        """Apply a form to each named entry; the others stay for the schema to judge."""
        entries = {key: self.at(key, forms.get(key, _as_is), value) for key, value in node.entries.items()}
        return replace(node, entries={key: value for key, value in entries.items() if value is not None})

    def items(self, node: ListNode, form: _Form) -> ListNode:
        """Apply a form to each item of a list."""
        items = [self.at(index, form, item) for index, item in enumerate(node.items)]
        return replace(node, items=tuple(item for item in items if item is not None))


_Form = Callable[[_Forms, Node], Node | None]


def _as_is(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, float) and not math.isfinite(node.value):
        forms.refuse(node, "must be a finite number")
        return None
    if isinstance(node, MapNode):
        return forms.children(node, {})
    return forms.items(node, _as_is) if isinstance(node, ListNode) else node


def _count(forms: _Forms, node: Node) -> Node | None:
    """`400k`, `2M`, `1B`; other words such as `auto` stay for the schema to judge."""
    if not (isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value[:1].isdigit()):
        return _as_is(forms, node)
    try:
        return replace(node, value=parse_count(node.value))
    except ValueError:
        forms.refuse(node, "must be a whole number, such as 400000, 400k, 2M or 1B")
        return None


def _one_or_more(forms: _Forms, node: Node) -> Node | None:
    """A single word counts as a list of one."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return ListNode(items=(node,), where=node.where, path=node.path)
    return _as_is(forms, node)


def _numeric(forms: _Forms, node: Node) -> Node | None:
    """A number, a list of numbers, or {low, high}."""
    if isinstance(node, MapNode):
        return _range(forms, node)
    if isinstance(node, ListNode):
        return _choices(forms, node, _number)
    return _number(forms, node)


def _number(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and _is_number(node):
        return _as_is(forms, node)
    forms.refuse(node, "must be a number, a list of numbers, or {low: ..., high: ...}")
    return None


def _number_or_name(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and (_is_number(node) or isinstance(node.value, str)):
        return _as_is(forms, node)
    forms.refuse(node, "must be a number or a name")
    return None


def _is_number(node: ScalarNode) -> bool:
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _range(forms: _Forms, node: MapNode) -> Node | None:
    unknown = [key for key in node.entries if key not in ("low", "high")]
    for key in unknown:
        path, where = child_path(node.path, key), node.key_wheres.get(key, node.where)
        hint = nearest_hint(key, ("low", "high"))
        forms.problems.append(Problem(key=path, rule="is no key of an interval", hint=hint, where=where))
    missing = [key for key in ("low", "high") if key not in node.entries]
    if missing and not unknown:
        forms.refuse(node, f"is an interval without {' and '.join(missing)}", "write {low: ..., high: ...}")
    if unknown or missing:
        return None
    ends = {key: forms.at(key, _range_end, value) for key, value in node.entries.items()}
    found = {key: value for key, value in ends.items() if value is not None}
    return replace(node, entries=found) if len(found) == 2 else None


def _range_end(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and _is_number(node):
        return _as_is(forms, node)
    forms.refuse(node, "must be a number")
    return None


def _choices(forms: _Forms, node: ListNode, form: _Form) -> Node | None:
    if not node.items:
        forms.refuse(node, "is an empty choice; it needs at least one value")
        return None
    chosen = forms.items(node, form)
    return chosen if chosen.items else None


def _word_or(word: str) -> _Form:
    def form(forms: _Forms, node: Node) -> Node | None:
        if isinstance(node, ScalarNode) and node.value == word:
            return node
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            rule = f"must be a number, a list of numbers, {{low: ..., high: ...}}, or {word}"
            forms.refuse(node, rule)
            return None
        return _numeric(forms, node)

    return form


def _lr(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, MapNode) and node.entries.keys() == {"relative"}:
        kept = forms.children(node, {"relative": _numeric})
        return kept if "relative" in kept.entries else None
    if isinstance(node, MapNode) and ("relative" in node.entries or not {"low", "high"} & node.entries.keys()):
        forms.refuse(node, "must be a number, a list, {low: ..., high: ...}, or {relative: ...}")
        return None
    return _numeric(forms, node)


def _words(forms: _Forms, node: Node) -> Node | None:
    """A word or a list of words."""
    if isinstance(node, ListNode):
        return _choices(forms, node, _word)
    word = _word(forms, node)
    return ListNode(items=(word,), where=node.where, path=node.path) if word is not None else None


def _word(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return node
    forms.refuse(node, "must be a name")
    return None


def _named(name_key: str) -> _Form:
    """Names with settings: `a`, `[a, {b: {x: 1}}]` or `{a: {}, b: {x: 1}}`."""

    def form(forms: _Forms, node: Node) -> Node | None:
        if isinstance(node, MapNode):
            items = [
                forms.at(index, lambda inner, one: _named_one(inner, one, name_key), _entry(node, key))
                for index, key in enumerate(node.entries)
            ]
            found = tuple(item for item in items if item is not None)
            if not node.entries:
                forms.refuse(node, "is an empty choice; it needs at least one value")
            return ListNode(items=found, where=node.where, path=node.path) if found else None
        if isinstance(node, ListNode):
            return _choices(forms, node, lambda inner, one: _named_one(inner, one, name_key))
        one = forms.at(0, lambda inner, value: _named_one(inner, value, name_key), node)
        return ListNode(items=(one,), where=node.where, path=node.path) if one is not None else None

    return form


def _entry(node: MapNode, key: str) -> MapNode:
    """One entry of a mapping as a mapping of its own."""
    where = node.key_wheres.get(key, node.where)
    return MapNode(entries={key: node.entries[key]}, key_wheres={key: where}, where=where, path=node.path)


def _named_one(forms: _Forms, node: Node, name_key: str) -> Node | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return MapNode(entries={name_key: node}, key_wheres={}, where=node.where, path=node.path)
    if not (isinstance(node, MapNode) and len(node.entries) == 1):
        forms.refuse(node, "must be a name, or a name with its settings such as {adamw: {beta2: 0.95}}")
        return None
    ((key, settings),) = node.entries.items()
    path, where = child_path(node.path, key), node.key_wheres.get(key, node.where)
    name = ScalarNode(value=key, text=key, where=where, path=path)
    hparams = forms.at("hparams", _settings, settings)
    entries: dict[str, Node] = {name_key: name}
    return replace(node, entries=entries | ({"hparams": hparams} if hparams is not None else {}), path=path)


def _settings(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and node.value is None:
        return MapNode(entries={}, key_wheres={}, where=node.where, path=node.path)
    if not isinstance(node, MapNode):
        forms.refuse(node, "must be a mapping of settings, such as {beta2: [0.95, 0.99]}")
        return None
    return forms.children(node, dict.fromkeys(node.entries, _setting))


def _setting(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, MapNode):
        return _range(forms, node)
    if isinstance(node, ListNode):
        return _choices(forms, node, _number_or_name)
    return _number_or_name(forms, node)


_SETS_HINT = "write [[]] for none, [[{dropout: 0.1}]] for one set, [[], [{dropout: 0.1}]] for a choice"


def _regularizers(forms: _Forms, node: Node) -> Node | None:
    """A list of sets; a single mapping is one set."""
    if isinstance(node, MapNode):
        only = forms.at(0, _regularizer_set, ListNode(items=(node,), where=node.where, path=node.path))
        return ListNode(items=(only,), where=node.where, path=node.path) if only is not None else None
    if isinstance(node, ListNode) and node.items:
        return _choices(forms, node, _regularizer_set)
    rule = "is an empty choice" if isinstance(node, ListNode) else "must be a list of sets of regularizers"
    forms.refuse(node, rule, _SETS_HINT)
    return None


def _regularizer_set(forms: _Forms, node: Node) -> Node | None:
    if not isinstance(node, ListNode):
        forms.refuse(node, "must be a set of regularizers in brackets", _SETS_HINT)
        return None
    entries: list[MapNode] = []
    for item in node.items:
        if isinstance(item, MapNode):
            entries += [_entry(item, key) for key in item.entries]
        else:
            forms.refuse(item, "must be a regularizer with its number, such as {dropout: 0.1}", _SETS_HINT)
    found = [forms.at(index, _regularizer, entry) for index, entry in enumerate(entries)]
    return replace(node, items=tuple(one for one in found if one is not None))


def _regularizer(forms: _Forms, node: Node) -> Node | None:
    if not isinstance(node, MapNode):
        return None
    ((key, strength),) = node.entries.items()
    path = child_path(node.path, key)
    kind = ScalarNode(value=key, text=key, where=node.key_wheres.get(key, node.where), path=path)
    number = forms.at("strength", _numeric, strength)
    return replace(node, entries={"kind": kind, "strength": number}, path=path) if number is not None else None


def _not_empty(form: _Form) -> _Form:
    def not_empty(forms: _Forms, node: Node) -> Node | None:
        if isinstance(node, ScalarNode) and node.value is None:
            forms.refuse(replace(node, text="nothing"), "is no value; leave the key out for the default")
            return None
        return form(forms, node)

    return not_empty


_STRATEGY: Mapping[str, _Form] = MappingProxyType(
    {
        "clip_norm": _not_empty(_word_or("off")),
        "hand_over": _not_empty(_words),
        "lr": _not_empty(_lr),
        "lr_shape": _not_empty(_named("kind")),
        "optimizer": _not_empty(_named("name")),
        "regularizers": _not_empty(_regularizers),
        "rewarm": _not_empty(_word_or("auto")),
        "trainable": _not_empty(_words),
        "warmup": _not_empty(_numeric),
        "weight_decay": _not_empty(_numeric),
    }
)


def _mapping(forms_by_key: Mapping[str, _Form]) -> _Form:
    def form(forms: _Forms, node: Node) -> Node | None:
        return forms.children(node, forms_by_key) if isinstance(node, MapNode) else node

    return form


def _stages(forms: _Forms, node: Node) -> Node | None:
    stage = _mapping({**_STRATEGY, "share": _not_empty(_word_or("rest"))})
    return forms.items(node, stage) if isinstance(node, ListNode) else node


def _model(forms: _Forms, node: Node) -> Node | None:
    """`{size: tiny}` becomes the preset's numbers; other keys replace them one by one."""
    if not (isinstance(node, MapNode) and "size" in node.entries):
        return _as_is(forms, node)
    size = node.entries["size"]
    preset = MODEL_SIZES.get(str(size.value)) if isinstance(size, ScalarNode) else None
    if preset is None:
        hint = nearest_hint(shown(size), MODEL_SIZES)
        forms.refuse(size, f"is no model size; known are {', '.join(MODEL_SIZES)}", hint)
        return None
    numbers = {"layers": preset.layers, "width": preset.width, "heads": preset.heads, "context": preset.context}
    entries: dict[str, Node] = {
        key: ScalarNode(value=number, text=str(number), where=size.where, path=child_path(node.path, key))
        for key, number in numbers.items()
    }
    own = {key: value for key, value in node.entries.items() if key != "size"}
    return _as_is(forms, replace(node, entries=entries | own))


def _tokenizer(forms: _Forms, node: Node) -> Node | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return MapNode(entries={"kind": node}, key_wheres={}, where=node.where, path=node.path)
    return _mapping({"vocab_size": _count})(forms, node)


def _control(forms: _Forms, node: Node) -> Node | None:
    """A number is the share of the opponents."""
    known = _as_is(forms, node)
    if not isinstance(known, ScalarNode) or known.value is None:
        return known
    return MapNode(entries={"share": known}, key_wheres={}, where=known.where, path=known.path)


_SECTIONS: Mapping[str, _Form] = MappingProxyType(
    {
        "baselines": _one_or_more,
        "budget": _mapping({"tokens": _count}),
        "control": _control,
        "data": _mapping({"source": _one_or_more, "tokenizer": _tokenizer, "validation": _one_or_more}),
        "evaluation": _mapping({"tokens": _count}),
        "model": _model,
        "resources": _mapping({"store": _mapping({"limit": _count})}),
        "search": _mapping({"budget": _count}),
        "stage_defaults": _mapping(_STRATEGY),
        "stages": _stages,
        "train": _mapping({"batch_tokens": _count}),
    }
)
