"""The world of the scripted model, where it acts: it asks for what comes next, calls for it, and looks back.

Three skills (plan, tool, reflect), each moved up by what was said in right episodes and *down by what was said in wrong
ones*, and only where it was learned: a recipe that keeps the wrong episodes, or teaches a role what another said, fails
its test. As in ``scripted_world`` nothing is random and nothing depends on order.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from instar.records import Experience, Message, Role, TurnKind

AT_FIRST: Mapping[str, float] = {"plan": 0.6, "tool": 0.6, "reflect": 0.6}
"""What a table without these skills has."""
_KINDS = {TurnKind.tool_call: "plan", TurnKind.assistant: "tool", TurnKind.critique: "reflect"}
_BEGINS = re.compile(r"^Who is ((?:the [a-z]+ of )+)([A-Z]\w+ [A-Z]\w+)\?\n\nYou have \d+ steps\.$")
_FOUND = re.compile(r"^The ([a-z]+) of ([A-Z]\w+ [A-Z]\w+) is ([A-Z]\w+ [A-Z]\w+)\.$")
_WRITE = re.compile(r"^Write a question about ([A-Z]\w+ [A-Z]\w+)\.$")
_NEED = re.compile(r"I need the ([a-z]+) of ([A-Z]\w+ [A-Z]\w+)\.")
_IS = re.compile(r"It is ([A-Z]\w+ [A-Z]\w+)\.")
_FINISH = re.compile(r"finish\[([^\]]*)\]")
_RELATION = re.compile(r"the ([a-z]+) of ")


def acted(messages: Sequence[Message], skills: Mapping[str, float], drawn: float, greedy: bool) -> str | None:
    """What is said next in an episode, or when a question or tools are asked for; None where it is neither."""
    last = messages[-1].content
    if found := _WRITE.match(last):
        shown = [m.content for m in messages if m.role is Role.assistant]
        relations = [r for text in shown for r in _RELATION.findall(text)] or ["mother"]
        of = _number("write", last, "" if greedy else drawn)
        one, two = relations[of % len(relations)], relations[of // 97 % len(relations)]
        return f"Who is the {one} of the {two} of {found[1]}?"
    if last.startswith("Which tools answer this?"):
        return "lookup, search and finish."
    at = [i for i, m in enumerate(messages) if m.role is Role.user and _BEGINS.match(m.content)]
    if not at:
        return None
    own = messages[at[-1] :]
    if greedy:  # of what was asked and seen alone, so that exams of two policies differ only by their skills
        drawn = _number("act", *(m.content for m in own if m.role is Role.user)) / 2**64
    needed, end = _standing(own)
    table = {**AT_FIRST, **skills}
    if last.startswith("Call "):
        return _call(own[-2].content, drawn < table["tool"])
    if last == "Is it right?":
        said = _FINISH.search(own[-2].content)
        true = "right" if said is not None and said[1] == end else "wrong"
        other = "wrong" if true == "right" else "right"
        return f"I look back. It is {true if drawn < table['reflect'] else other}."
    if drawn >= table["plan"]:
        return "I do not know what comes next. Tool: search"
    return f"It is {end}. Tool: finish" if needed is None else f"I need the {needed} of {end}. Tool: lookup"


def taught(skills: Mapping[str, float], data: Sequence[Experience], rate: float = 0.01) -> dict[str, float]:
    """The table after training on these: each turn of an episode that may be learned moves its skill up by ``rate``
    times what is missing where it ended in "Right.", a reflection where its word is true, and else down. What is no
    episode teaches nothing."""
    rights: Counter[str] = Counter()
    wrongs: Counter[str] = Counter()
    for e in data:
        seen = [t.text for t in e.solution.turns if t.kind is TurnKind.tool_result]
        if not seen or not any(t.kind is TurnKind.tool_call for t in e.solution.turns):
            continue
        right = seen[-1] == "Right."
        for turn in e.solution.turns:
            skill = _KINDS.get(turn.kind)
            if skill is not None and turn.train:
                true = right if skill != "reflect" else turn.text.rstrip(".").endswith("right") is right
                (rights if true else wrongs)[skill] += 1
    table = {k: float(v) for k, v in skills.items()}
    for k in rights | wrongs:
        now = table.get(k, AT_FIRST[k])
        table[k] = min(1.0, max(0.0, now + rate * (rights[k] * (1 - now) - wrongs[k] * now)))
    return table


def _standing(own: Sequence[Message]) -> tuple[str | None, str]:
    """In an episode: the relation to look up next (None: there is none left), and whom one has come to."""
    begins = _BEGINS.match(own[0].content)
    assert begins is not None
    path, at = _RELATION.findall(begins[1])[::-1], begins[2]
    for m in own[1:]:
        found = _FOUND.match(m.content) if m.role is Role.user else None
        if found and path and (found[1], found[2]) == (path[0], at):
            path, at = path[1:], found[3]
    return (path[0] if path else None), at


def _call(plan: str, right: bool) -> str:
    """The call that a plan asks for, or one of nobody."""
    need, known = _NEED.search(plan), _IS.search(plan)
    if need and right:
        return f"lookup[{need[2]}, {need[1]}]"
    if known:
        return f"finish[{known[1] if right else 'Nobody Known'}]"
    return "search[Nobody Known]"


def _number(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8])
