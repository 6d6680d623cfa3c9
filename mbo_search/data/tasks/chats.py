"""Chats as text, by the template that a tokenizer brings, with what the assistant says marked as asked for.

The template is given contents between marks, so that whatever it writes around them is known to be its own: only
there do names of special tokens mean these tokens, and what it writes after the last answer ends every answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mbo_search.data.clean import clean_text
from mbo_search.data.document import Document, Span
from mbo_search.errors import DataError, Problem

if TYPE_CHECKING:
    from jinja2 import Template

PLAIN_TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
"""For tokenizers without a template of their own."""

# Noncharacters, which no text holds: before and after an answer, before and after the content of another turn.
_ANSWER, _ANSWER_END, _CONTENT, _CONTENT_END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
_MARK = re.compile(f"[{_ANSWER}{_ANSWER_END}{_CONTENT}{_CONTENT_END}]")
_PAIRS = re.compile(
    f"[^{_ANSWER}-{_CONTENT_END}]*"
    f"((?:{_ANSWER}[^{_ANSWER}-{_CONTENT_END}]*{_ANSWER_END}|{_CONTENT}[^{_ANSWER}-{_CONTENT_END}]*{_CONTENT_END})"
    f"[^{_ANSWER}-{_CONTENT_END}]*)*"
)
# Blocks in which `transformers` looks for answers; the marks find them without.
_GENERATION = re.compile(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})")
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
_HINT = 'a chat is a list such as [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    content: str
    others: Mapping[str, Any]

    def marked(self) -> dict[str, Any]:
        first, last = (_ANSWER, _ANSWER_END) if self.role == "assistant" else (_CONTENT, _CONTENT_END)
        return {**self.others, "role": self.role, "content": f"{first}{self.content}{last}"}


class ChatTemplate:
    """Writes chats as text.

    Args:
        source: The template, in Jinja.
        variables: What it may know besides the messages, such as `bos_token`.
    """

    def __init__(self, source: str = PLAIN_TEMPLATE, variables: Mapping[str, str] | None = None) -> None:
        self._source = source
        self._variables = dict(variables or {})
        self._compiled: Template | None = None

    def example(self, messages: object, where: str) -> Document:
        """Write a chat, up to its last answer.

        Raises:
            DataError: If it is no chat, or the template refuses or rewrites it.
        """
        turns = _turns(messages, where)
        while turns and turns[-1].role != "assistant":
            del turns[-1]
        if not any(turn.content for turn in turns if turn.role == "assistant"):
            return Document(name=where, text="", asked=())
        written = self._write(turns, where)
        num_answers = sum(turn.role == "assistant" for turn in turns)
        if not _PAIRS.fullmatch(written) or written.count(_ANSWER) != num_answers:
            rule = "holds answers that the tokenizer's chat template leaves out or rewrites"
            _refuse(where, rule, "give rows with a prompt and a completion instead")
        return _without_marks(written, where)

    def _write(self, turns: Sequence[_Turn], where: str) -> str:
        from jinja2 import TemplateError

        try:
            known = {"tools": None, "documents": None, "add_generation_prompt": False, **self._variables}
            return self._template().render({**known, "messages": [turn.marked() for turn in turns]})
        except (TemplateError, TypeError, ValueError) as error:
            _refuse(where, f"is refused by the tokenizer's chat template: {error}", _HINT)

    def _template(self) -> Template:
        if self._compiled is None:
            from jinja2.ext import loopcontrols
            from jinja2.sandbox import ImmutableSandboxedEnvironment

            environment = ImmutableSandboxedEnvironment(
                trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
            )
            environment.filters["tojson"] = _to_json
            environment.globals["raise_exception"] = _raise
            source = _GENERATION.sub(
                lambda tag: f"{tag[1]}{'endif' if tag[2] else 'if true'}{tag[3]}", self._source
            )
            self._compiled = environment.from_string(source)
        return self._compiled


def chat_template(tokenizer: Path | None) -> ChatTemplate:
    """Take the chat template that lies beside a tokenizer, or a plain one.

    Args:
        tokenizer: The tokenizer's file; None for one that is made from the study's text.
    """
    if tokenizer is None:
        return ChatTemplate()
    config = _config(tokenizer.with_name("tokenizer_config.json"))
    beside = tokenizer.with_name("chat_template.jinja")
    source = beside.read_text(encoding="utf-8") if beside.is_file() else _named_default(config.get("chat_template"))
    return ChatTemplate(source, _special_tokens(config)) if source else ChatTemplate()


def _config(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # reading the tokenizer says what is wrong
    return content if isinstance(content, dict) else {}


def _named_default(source: object) -> str:
    """The template, or of several with names the one named `default`."""
    if isinstance(source, list):
        named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
        source = named.get("default")
    return source if isinstance(source, str) else ""


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    tokens = {key: value for key, value in config.items() if key.endswith("_token")}
    texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in tokens.items()}
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def _turns(messages: object, where: str) -> list[_Turn]:
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)  # a column of a .csv file
        except ValueError:
            _refuse(where, "holds text instead of a list of messages", _HINT)
    if messages is None:
        return []
    if not isinstance(messages, list):
        _refuse(where, f"holds {type(messages).__name__} instead of a list of messages", _HINT)
    return [_turn(one, where) for one in messages]


def _turn(message: object, where: str) -> _Turn:
    if not isinstance(message, dict):
        _refuse(where, f"holds a message that is {type(message).__name__}", _HINT)
    known = {key: value for key, value in message.items() if value is not None}
    role = known.pop("role", None) or known.pop("from", None)
    if not isinstance(role, str):
        _refuse(where, "holds a message without a role", _HINT)
    content = known.pop("content", known.pop("value", ""))
    return _Turn(_ROLES.get(role, role), _content(content, where), known)


def _content(content: object, where: str) -> str:
    """The text of a message, which may come in parts."""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        content = "".join(part for part in parts if isinstance(part, str)) if all(parts) else None
    if not isinstance(content, str):
        _refuse(where, "holds a message whose content is not text", "leave out what is no text")
    return clean_text(_MARK.sub("", content)).strip()


def _without_marks(written: str, where: str) -> Document:
    """Take the marks out, and note what they said; white space after the last answer is left out."""
    *pieces, end = _MARK.split(written)
    # Ends of turns that are mere white space are asked for between turns; the end of the document ends the last.
    closing = end.rstrip() or end
    text = ""
    asked: list[Span] = []
    template: list[Span] = []
    for piece, mark in zip([*pieces, end.rstrip()], ["", *_MARK.findall(written)], strict=True):
        start, text = len(text), text + piece
        if mark == _ANSWER:
            asked.append((start, len(text)))
        elif mark != _CONTENT:
            template.append((start, len(text)))
        if mark == _ANSWER_END and piece.startswith(closing):
            asked[-1] = (asked[-1][0], start + len(closing))
    return Document(name=where, text=text, asked=_not_empty(asked), template=_not_empty(template))


def _not_empty(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple((start, end) for start, end in spans if end > start)


def _to_json(value: object, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _refuse(where: str, rule: str, hint: str) -> NoReturn:
    raise DataError([Problem(key="data.task.messages", rule=rule, hint=hint, where=where)])
