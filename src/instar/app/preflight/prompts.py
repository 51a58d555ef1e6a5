"""Prompts as the model will see them: does its template say what it is handed, and do all rows fit its context?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from instar.acquire.solutions.act import UseTools
from instar.acquire.solutions.call_tools import CallTools
from instar.acquire.solutions.corrected import Corrected
from instar.acquire.solutions.play import Play
from instar.acquire.tools.calculator import Calculator
from instar.app.configs.shots import shown_by
from instar.app.configs.uses import Use, named_ops, uses
from instar.app.preflight.seen import SHOWN, Seen, has_shots, place_of
from instar.chat import ChatTokenizer
from instar.errors import ConfigError, DataError, InstarError, ModelError
from instar.protocols import Attempt, Correct, Op, Solve
from instar.records import Message, Role, Sampling, Task, ToolCall
from instar.similarity import normalised

MARKS = {Role.system: "Ynarthe keeps lemons.", Role.user: "Ozwick counts ferns.", Role.assistant: "Quillby sold maps."}
"""A text for each role that no template brings by itself."""
LATER = 3
"""Answers that a conversation which goes on is tried with."""


def template(seen: Seen) -> Iterator[InstarError]:
    """A chat template that refuses a role which the run uses, drops its text, or opens no answer."""
    try:
        chat = seen.tokenizer
        if chat is not None:
            yield from _roles(seen, chat)
    except ModelError as e:
        yield e


def _roles(seen: Seen, chat: ChatTokenizer) -> Iterator[InstarError]:
    model = seen.plan.run.model
    plain = _said(Role.user)
    shown = _rendered(chat, [plain])
    if isinstance(shown, ModelError) or not shown.strip() or plain.content not in shown:
        why = (
            shown.message
            if isinstance(shown, ModelError)
            else "it renders nothing."
            if not shown.strip()
            else "the text of the question is not in it."
        )
        yield ModelError(
            f"the chat template of {model} does not render a question: {why}",
            "Give the model folder a chat_template.jinja that does, or take another model.",
        )
        return
    of_tasks = {m.role for tasks in seen.sets.values() for t in tasks for m in t.messages}
    system = bool(seen.plan.run.system) or Role.system in of_tasks
    lacks = system and (why := _lost(chat, [_said(Role.system), plain]))
    if lacks:
        whose = (
            'the config\'s system text: set system = "" and put the instruction into the question'
            if seen.plan.run.system
            else "the tasks' system messages: put their text into the question"
        )
        yield ModelError(f"this model ({model}) knows no system role ({why}); {whose}.", "Or take another model.")
    whose = _who_goes_on(seen, of_tasks)
    if whose and (why := _lost(chat, [plain, _said(Role.assistant), _said(Role.user, " Then two.")])):
        yield ModelError(
            f"the chat template of {model} does not render a conversation of several turns ({why}), which "
            f"{whose} needs.",
            "Give the model folder another chat_template.jinja, or leave this out.",
        )
    elif not lacks and (
        why := next((why for shape in _shapes(seen, goes_on=bool(_who_talks(seen))) if (why := _lost(chat, shape))), "")
    ):
        yield ModelError(
            f"the chat template of {model} does not render a whole prompt of this run, with its system text, shots and "
            f"question ({why}).",
            "Give the model folder another chat_template.jinja, or leave out what it drops.",
        )
    if any(isinstance(op, CallTools) for _, op in named_ops(seen.plan.settings)) and (why := _no_tools(chat, plain)):
        yield ModelError(
            f"the chat template of {model} does not render a tool, its call and its result ({why}).",
            'Mend the template; or take op = "use_tools", which needs none.',
        )
    yield from _opening(chat, model, plain)


def _shapes(seen: Seen, *, goes_on: bool) -> Iterator[list[Message]]:
    """The prompts of the run, one of each order of roles, each message with a text that no other one has; where
    somebody goes on, some turns longer: a template may show the last few messages only."""
    told: set[tuple[Role, ...]] = set()
    for tasks in seen.sets.values():
        for task in tasks:
            roles = tuple(m.role for m in seen.prompt(task))
            if roles not in told and len(told) < SHOWN:
                told.add(roles)
                more = (Role.assistant, Role.user) * (LATER if goes_on and roles[-1:] == (Role.user,) else 0)
                yield [_said(role, f" Line {n}.") for n, role in enumerate((*roles, *more), 1)]


def _no_tools(chat: ChatTokenizer, plain: Message) -> str:
    """Why a conversation with a tool does not reach the model; nothing if it does."""
    spec = Calculator().spec
    call = ToolCall(name=spec.name, arguments={spec.names()[0]: "17 + 26"})
    asked = plain.model_copy(update={"tools": (spec,)})
    result = Message(role=Role.user, content=MARKS[Role.system], result_of=spec.name)
    shown = _rendered(chat, [asked, Message(role=Role.assistant, content="", calls=(call,)), result])
    if isinstance(shown, ModelError):
        return f"it refuses them: {_reason(shown)}"
    parts = {"the tool": spec.about, "the call": "17 + 26", "the result": result.content}
    return ", ".join(f"it drops {what}" for what, text in parts.items() if text not in shown)


def _opening(chat: ChatTokenizer, model: str, plain: Message) -> Iterator[InstarError]:
    """Templates without a generation prompt are right where the question's end itself opens the answer ("[/INST]"), and
    wrong where an answer has a heading that the model would have to write itself."""
    try:
        opened, bare = chat.render([plain]), chat.render([plain], opening=False)
        answered = chat.render([plain, _said(Role.assistant)], opening=False)
    except ModelError:
        return
    heading = answered.removeprefix(bare).partition(MARKS[Role.assistant])[0]
    if opened == bare and answered.startswith(bare) and heading.strip():
        yield ModelError(
            f"the chat template of {model} has no generation prompt: an answer begins with {heading!r:.80}, which is "
            "not in the prompt, so the model would go on with the question.",
            "Add {% if add_generation_prompt %}...{% endif %} with that text to its chat_template.jinja.",
        )


def _lost(chat: ChatTokenizer, messages: Sequence[Message]) -> str:
    """Why these messages do not all reach the model; nothing if they do."""
    shown = _rendered(chat, messages)
    if isinstance(shown, ModelError):
        return "its chat template refuses one" + (f": {_reason(shown)}" if _reason(shown) else "")
    dropped = [m.role.value for m in messages if m.content not in shown]
    return f"its chat template drops the {dropped[0]} text" if dropped else ""


def _reason(error: ModelError) -> str:
    """What the template itself said, out of the renderer's sentence."""
    cause = error.__cause__
    return str(cause)[:200].rstrip(".") if cause is not None else ""


def _rendered(chat: ChatTokenizer, messages: Sequence[Message]) -> str | ModelError:
    try:
        return chat.render(messages)
    except ModelError as e:
        return e


def _said(role: Role, more: str = "") -> Message:
    return Message(role=role, content=MARKS[role] + more)


def _who_goes_on(seen: Seen, of_tasks: set[Role]) -> str:
    """Who speaks with the model for more than one turn; nothing if nobody does."""
    if Role.assistant in of_tasks:
        return "a task with several turns"
    return "shots" if seen.plan.run.shots else _who_talks(seen)


def _who_talks(seen: Seen) -> str:
    """The operator that goes on after the model's first answer; nothing if none does."""
    for where, op in named_ops(seen.plan.settings):
        talks = isinstance(op, (UseTools, CallTools, Play)) or (isinstance(op, Correct) and op.name != "hint")
        if talks and not (where == "hint" or where.startswith("audit")):
            return f"{where} ({op.name})"
    return ""


def shots_of_both_kinds(seen: Seen) -> Iterator[InstarError]:
    """Shots of the policy beside shots of the tasks: a question would come after both."""
    run = seen.plan.run
    if not run.shots:
        return
    sources = {"tasks": run.tasks} | {f'suites."{name}".tasks': suite.tasks for name, suite in run.suites.items()}
    for where, source in sources.items():
        if has_shots(source):
            yield ConfigError(
                f"there are shots at the top of the config and in [{where}]: every question would come after both.",
                "Keep those at the top, which are part of the policy and come before every question, and remove "
                f"{where}.shots.",
            )


def shots(seen: Seen) -> Iterator[InstarError]:
    """A shot whose question is one that is held out: it would be shown with its answer. Which one is not said."""
    asked = {normalised(m.content) for m in shown_by(seen.plan.run.shots) if m.role is Role.user}
    for name, tasks in seen.sets.items():
        n = sum(normalised(t.question) in asked for t in tasks) if asked and name != "train" else 0
        if n:
            yield DataError(
                f"the set {name} has {n} question{'s' if n > 1 else ''} that the shots show with the answer.",
                "Take other shots, or another seed.",
            )


# --- rows that do not fit -------------------------------------------------------------------------------------------


def rooms(seen: Seen) -> Iterator[InstarError]:
    """Rows of any set that, with the answer asked for, do not fit the model's context: measured by its tokenizer."""
    if not seen.lengths or seen.tokenizer is None:
        return
    context = seen.tokenizer.context
    for use in uses(seen.plan):
        most = longest_answer(use.op)
        if most >= context:
            yield DataError(
                f"{use.where}.sampling.max_tokens is {most:,}, and the context of {seen.plan.run.model} is {context:,} "
                "tokens: no prompt fits beside such an answer.",
                "Set max_tokens lower, or take a model with a longer context.",
            )
        elif most:
            yield from _over(seen, use, most, context)


def _over(seen: Seen, use: Use, most: int, context: int) -> Iterator[InstarError]:
    rows: list[str] = []
    total = 0
    for name in use.sets:
        for task, n in zip(seen.sets.get(name, ()), seen.lengths.get(name, ()), strict=True):
            if n + most > context:
                total += 1
                if len(rows) < SHOWN:
                    rows.append(f"{name}: {place_of(seen, name, task)}: {n:,} tokens")
    if rows:
        more = f" and {total - SHOWN:,} more" if total > SHOWN else ""
        yield DataError(
            f"{total:,} row{'s do' if total > 1 else ' does'} not fit the context of {seen.plan.run.model}, "
            f"{context:,} tokens of which {use.where} keeps {most:,} for the answer: {'; '.join(rows)}{more}.",
            "Shorten or remove these rows, set max_tokens lower, or take a model with a longer context.",
        )


def longest_answer(op: Op) -> int:
    """The longest answer that is asked for to a task alone; 0 of what asks nothing, or not of a task alone."""
    op = op.draft if isinstance(op, Corrected) else op
    sampling = getattr(op, "sampling", None) if isinstance(op, (Solve, Attempt)) else None
    return sampling.max_tokens if isinstance(sampling, Sampling) else 0


def untrainable(seen: Seen) -> Iterator[InstarError]:
    """Training questions that leave no room for an answer in ``train.max_length``: all of them is an error."""
    longest, too_long, tasks = _too_long_to_train(seen)
    if tasks and len(too_long) == len(tasks):
        yield DataError(
            f"train.max_length is {longest:,} tokens, and not one of the {len(tasks):,} training questions leaves room "
            f"in it for an answer (the shortest has {min(too_long):,}).",
            "Raise train.max_length, or give shorter questions.",
        )


def dropped(seen: Seen) -> list[str]:
    """Warnings: training questions that will be answered and can then not be trained on."""
    longest, too_long, tasks = _too_long_to_train(seen)
    if not too_long or len(too_long) == len(tasks):
        return []
    return [
        f"{len(too_long):,} of the {len(tasks):,} training questions leave no room for an answer in train.max_length = "
        f"{longest:,} tokens (the longest has {max(too_long):,}): their answers will not be trained on. Raise it."
    ]


def _too_long_to_train(seen: Seen) -> tuple[int, list[int], Sequence[Task]]:
    longest, lengths = getattr(getattr(seen.plan.settings, "train", None), "max_length", None), seen.lengths
    if not isinstance(longest, int) or not lengths or not getattr(seen.plan.settings, "learn", True):
        return 0, [], ()
    return longest, [n for n in lengths.get("train", ()) if n >= longest], seen.sets.get("train", ())
