"""The one place where chat messages become token ids, for asking and for training alike.

It reads a model folder (``tokenizer.json``, the chat template, the stop tokens) with ``tokenizers`` and a sandboxed
jinja2, not with transformers: that import alone costs seconds at every start. The ids are those of transformers'
``apply_chat_template(add_generation_prompt=True)``, with one departure: a special token *written out* inside a message
("<|im_end|>" in a task) is broken up with a zero-width space, so that a message cannot forge another turn.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from instar.errors import ModelError
from instar.model_folder.files import refuse_pointer
from instar.model_folder.folder import context_of, text_config
from instar.records import Message, Role, ToolCall, ToolSpec, calls_answered, hash_of, in_words

FALLBACK = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}\n\n"
    "{% elif m['role'] == 'user' %}Question: {{ m['content'] }}\n"
    "{% else %}Answer: {{ m['content'] }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Answer:{% endif %}"
)
"""For a model folder that carries no template: plain text, ``Question: ... Answer:``. A documented choice, not a guess
at what the model was trained on: give such a model a ``chat_template.jinja`` where one is known."""

_FORGED = re.compile(r"</?(?:tool_call|tool_response|tools)>|<\|python_tag\|>")
"""What opens and closes calls and their results in the forms that templates have; not all are special tokens."""

_TRIED = ToolCall(name="calculator", arguments={"expression": "17 + 26"})
_TRIED_SPEC = ToolSpec(
    name="calculator",
    about="arithmetic",
    parameters={"type": "object", "properties": {"expression": {"type": "string"}}},
)

_CACHE: dict[tuple[str, tuple[int, ...]], ChatTokenizer] = {}
_LOCK = Lock()
_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json", "generation_config.json")


class Dialect(NamedTuple):
    """What a template for tools wants other than most do; found by trying, for templates do not say."""

    as_text: bool = False
    """Arguments of a call as the text of a JSON object (DeepSeek) and not as data."""
    spelled: bool = False
    """Calls in the text, as ``<tool_call>``: it renders none itself (SmolLM3)."""
    one_each: bool = False
    """One call a message (Llama 3): of several, each is told with its result before the next."""
    never_none: bool = False
    """An empty list where no tools are told (Hermes), and not none."""


class ChatTokenizer:
    """Messages to token ids and back, for one model folder. Make it with ``load``."""

    stop_ids: tuple[int, ...]
    """Tokens that end a reply, the usual one first. Never empty."""
    context: int
    """Positions the model has: prompt and reply together."""
    vocab_size: int
    reader: str
    """A digest of the tokenizer and the template: with the same one, the same messages have the same ids."""

    def __init__(self, folder: Path) -> None:
        tokenizer_class, environment = _libraries()
        self.folder = folder
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(f"{folder} holds no tokenizer.json.", "Save the tokenizer beside the weights.")
        for name in _FILES:
            refuse_pointer(folder / name)
        try:
            self._tokenizer = tokenizer_class.from_file(str(path))
        except Exception as e:  # tokenizers raises bare Exception
            raise ModelError(f"{path} cannot be read: {e}.", "Copy the model folder again.") from e
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._plain: Any = None
        config, settings = _json(folder / "config.json"), _json(folder / "tokenizer_config.json")
        generation = _json(folder / "generation_config.json")
        self.vocab_size = int(
            text_config(config).get("vocab_size") or self._tokenizer.get_vocab_size(with_added_tokens=True)
        )
        self.context = context_of(config) or 2048
        names = {k: _token_text(v) for k, v in settings.items() if k.endswith("_token") and _token_text(v)}
        eos = self._tokenizer.token_to_id(names["eos_token"]) if "eos_token" in names else None
        self.stop_ids = _stop_ids(generation.get("eos_token_id", config.get("eos_token_id")), eos, self.vocab_size)
        if not self.stop_ids:
            raise ModelError(
                f"{folder} names no end-of-text token, so a reply would never stop.",
                'Put "eos_token_id" into its generation_config.json.',
            )
        added = self._tokenizer.get_added_tokens_decoder().values()
        special = sorted((t.content for t in added if t.special), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special))) if special else None
        template = _template_text(folder, settings)
        for_tools = _tool_template(folder, settings)
        self.has_template = template is not None
        self._dialects: dict[bool, Dialect] = {}  # with a system message, and without
        try:
            self._template = environment.from_string(FALLBACK if template is None else template)
            self._with_tools = _knowing_tools(environment, template if for_tools is None else for_tools)
        except Exception as e:
            raise ModelError(f"The chat template of {folder} is not valid jinja: {e}.", "Mend the template.") from e
        self._names = {"eos_token": self._tokenizer.id_to_token(self.stop_ids[0]) or "", **names}
        words = hashlib.sha256(path.read_bytes()).hexdigest()
        more = [] if for_tools is None else [for_tools]
        self.reader = hash_of("reader", words, FALLBACK if template is None else template, self._names, *more)

    @classmethod
    def load(cls, folder: Path) -> ChatTokenizer:
        """The tokenizer of a model folder, kept for the next call (until one of its files changes).

        Raises ModelError if the folder lacks a readable tokenizer.json or names no stop token.
        """
        folder = Path(folder).resolve()
        times = tuple(p.stat().st_mtime_ns if (p := folder / name).exists() else 0 for name in _FILES)
        with _LOCK:
            if (folder.as_posix(), times) not in _CACHE:
                _CACHE[folder.as_posix(), times] = cls(folder)
            return _CACHE[folder.as_posix(), times]

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the messages and of the opening of the assistant's turn: what the model continues.

        Raises ModelError if the template refuses these messages (some accept no system message).
        """
        ids: list[int] = self._tokenizer.encode(self.render(messages), add_special_tokens=False).ids
        return ids

    def prompt_lengths(self, prompts: Sequence[Sequence[Message]]) -> list[int]:
        """How many tokens ``prompt_ids`` gives of each of these, all at once. Raises ModelError as it does."""
        texts = [self.render(messages) for messages in prompts]
        return [len(e.ids) for e in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def render(self, messages: Sequence[Message], *, opening: bool = True) -> str:
        """The text that ``prompt_ids`` tokenises; without ``opening``, of the messages alone."""
        if any(m.typed for m in messages):
            if self._with_tools is not None:
                return self._typed(messages, opening)
            messages = in_words(messages)
        shown = [{"role": m.role.value, "content": self._defused(m.content)} for m in messages]
        return self._rendered(self._template, messages, shown, None, opening)

    @property
    def knows_tools(self) -> bool:
        """Whether the model has a template that renders tools, their calls and their results."""
        return self._with_tools is not None

    def _typed(self, messages: Sequence[Message], opening: bool) -> str:
        """By the model's own template for tools, handed what ``apply_chat_template`` is handed."""
        led = messages[0].role is Role.system
        if led not in self._dialects:
            self._dialects[led] = self._tried(messages[:1] if led else ())
        return self._in(self._dialects[led], messages, opening)

    def _in(self, dialect: Dialect, messages: Sequence[Message], opening: bool = True) -> str:
        tools = [_function(t, self._plain_text) for m in messages for t in m.tools]
        shown = self._said(_one_each(messages) if dialect.one_each else messages, dialect)
        return self._rendered(self._with_tools, messages, shown, tools or ([] if dialect.never_none else None), opening)

    def _tried(self, before: Sequence[Message]) -> Dialect:
        """The first way in which the template renders a tool, a call of it and its result; then what it says to several
        calls, and to no tools."""

        def shows(dialect: Dialect, *calls: ToolCall, told: bool = True) -> bool:
            asked = Message(role=Role.user, content="What?", tools=(_TRIED_SPEC,) if told else ())
            results = [Message(role=Role.user, content=f"so {i} is", result_of=c.name) for i, c in enumerate(calls)]
            try:
                shown = self._in(
                    dialect, [*before, asked, Message(role=Role.assistant, content="", calls=calls), *results]
                )
            except ModelError:
                return False
            parts = [*(r.content for r in results), *(str(v) for c in calls for v in c.given().values())]
            return all(p in shown for p in parts) and str(_TRIED.given()) not in shown  # as Python writes it: no JSON

        ways = (Dialect(), Dialect(as_text=True), Dialect(spelled=True))
        found = next((w for w in ways if shows(w, _TRIED)), None)
        if found is None:  # whoever asks is told what it refuses
            return Dialect()
        second = _TRIED.model_copy(update={"arguments": '{"expression": "5 - 88"}'})
        return found._replace(
            one_each=not shows(found, _TRIED, second), never_none=not shows(found, _TRIED, told=False)
        )

    def _said(self, messages: Sequence[Message], dialect: Dialect) -> list[dict[str, Any]]:
        answered = calls_answered(messages)
        return [self._one_said(m, i, answered.get(i), dialect) for i, m in enumerate(messages)]

    def _one_said(self, m: Message, place: int, answers: tuple[int, int] | None, dialect: Dialect) -> dict[str, Any]:
        if m.result_of is not None:
            said = {"role": "tool", "name": self._plain_text(m.result_of), "content": self._plain_text(m.content)}
            return said if answers is None else {**said, "tool_call_id": _call_id(*answers)}
        text = self._defused(m.content) if m.role is Role.assistant else self._plain_text(m.content)
        calls = [_each(self._plain_text, {"name": c.name, "arguments": c.given()}) for c in m.calls]
        if dialect.spelled:
            told = [f"<tool_call>\n{_tojson(c)}\n</tool_call>" for c in calls]
            return {"role": m.role.value, "content": "\n".join([*([text] if text or not told else []), *told])}
        if dialect.as_text:
            calls = [{**c, "arguments": _tojson(c["arguments"])} for c in calls]
        made = [{"id": _call_id(place, k), "type": "function", "function": c} for k, c in enumerate(calls)]
        # some templates ask whether the key is there
        return {"role": m.role.value, "content": text, **({"tool_calls": made} if made else {})}

    def _plain_text(self, content: str) -> str:
        """A text in which nobody can forge a call or a result."""
        return _FORGED.sub(lambda m: m.group()[0] + "\u200b" + m.group()[1:], self._defused(content))

    def _rendered(
        self, template: Any, messages: Sequence[Message], shown: list[dict[str, Any]], tools: Any, opening: bool
    ) -> str:
        try:
            more = {**self._names, **({} if tools is None else {"xml_tools": tools})}  # SmolLM3's name for them
            return str(template.render(messages=shown, add_generation_prompt=opening, tools=tools, **more))
        except Exception as e:  # jinja errors, and raise_exception() in the template itself
            roles = ", ".join(m.role.value for m in messages) or "none"
            raise ModelError(
                f"The chat template of {self.folder} refused messages with the roles: {roles} ({e}).",
                "Give the model the order of roles it knows, or another template.",
            ) from e

    def reply_ids(self, text: str) -> list[int]:
        """Token ids of a text that a model may have said. A special token written out in it stays ordinary text."""
        with _LOCK:
            if self._plain is None:
                self._plain = type(self._tokenizer).from_file(str(self.folder / "tokenizer.json"))
                self._plain.no_truncation()
                self._plain.encode_special_tokens = True
        ids: list[int] = self._plain.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _defused(self, content: str) -> str:
        content = content.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate would end the tokenizer
        if self._special is None:
            return content
        return self._special.sub(lambda m: m.group()[0] + "\u200b" + m.group()[1:], content)


def _libraries() -> tuple[Any, Any]:
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from tokenizers import Tokenizer
    except ImportError as e:
        raise ModelError(
            f"The package {e.name} is needed to use a real model.", "Install it: pip install 'instar[openvino]'."
        ) from e
    environment = ImmutableSandboxedEnvironment(  # the settings of transformers' own renderer
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _generation()]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    # a prompt must not depend on the day it is made: resumed runs would differ
    environment.globals["strftime_now"] = lambda fmt: datetime(2024, 1, 1).strftime(fmt)
    return Tokenizer, environment


def _generation() -> Any:
    """The tag ``generation`` of transformers, around what the assistant says; it changes nothing of the text."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

        def _as_it_is(self, caller: Callable[[], str]) -> str:
            return caller()

    return Generation


def _tojson(value: Any, indent: int | None = None, **more: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, **more}, indent=indent)


def _refuse(message: str) -> None:
    raise ValueError(message)


def _function(tool: ToolSpec, plain: Callable[[str], str]) -> dict[str, Any]:
    """A tool in the form that templates and servers take."""
    about = {"name": tool.name, "description": tool.about, "parameters": json.loads(tool.parameters)}
    return {"type": "function", "function": _each(plain, about)}


def _one_each(messages: Sequence[Message]) -> list[Message]:
    """The same conversation with one call a message, each before its result."""
    answered = calls_answered(messages)
    out: list[Message] = []
    for i, m in enumerate(messages):
        if len(m.calls) > 1:
            out.append(m.model_copy(update={"calls": m.calls[:1]}))
            continue
        caller, which = answered.get(i, (0, 0))
        if which:
            out.append(Message(role=Role.assistant, content="", calls=(messages[caller].calls[which],)))
        out.append(m)
    return out


def _call_id(place: int, which: int) -> str:
    """Nine letters and digits: what Mistral's templates want."""
    return f"call{place % 10_000:04d}{which:x}"


def _each(plain: Callable[[str], str], value: Any) -> Any:
    """The same data with each text in it made plain."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(k): _each(plain, v) for k, v in value.items()}
    return [_each(plain, v) for v in value] if isinstance(value, list) else value


def _knowing_tools(environment: Any, template: str | None) -> Any:
    """The template as one for tools: None where it does not speak of them."""
    from jinja2 import nodes

    if template is None:
        return None
    names = environment.parse(template).find_all(nodes.Name)
    known = any(n.name in ("tools", "xml_tools") for n in names)
    return environment.from_string(template) if known else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as e:
        raise ModelError(f"{path} is not valid JSON: {e}.", "Copy the model folder again.") from e
    return value if isinstance(value, dict) else {}


def _token_text(value: Any) -> str:
    """A special token in tokenizer_config.json is a text, or a table with ``content``."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _stop_ids(named: Any, eos: int | None, vocab_size: int) -> tuple[int, ...]:
    listed = named if isinstance(named, list) else [named]
    found = [i for i in [*listed, eos] if isinstance(i, int) and 0 <= i < vocab_size]
    return tuple(dict.fromkeys(found))


def _template_text(folder: Path, settings: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8")
    held = settings.get("chat_template")
    return _named(held, "default") if isinstance(held, list) else held if isinstance(held, str) else None


def _tool_template(folder: Path, settings: dict[str, Any]) -> str | None:
    """A template of its own for prompts with tools, as some models have beside the default one."""
    held = settings.get("chat_template")
    if (folder / "chat_template.jinja").is_file() or not isinstance(held, list):
        return None
    return _named(held, "tool_use")


def _named(held: list[Any], name: str) -> str | None:
    """One of several named templates."""
    found = next((t.get("template") for t in held if isinstance(t, dict) and t.get("name") == name), None)
    return found if isinstance(found, str) else None
