"""The two files that ``instar init`` writes: a commented config and a verifier to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instar.acquire.feedback.verify import Verify
from instar.app.configs.registry import recipes
from instar.app.scaffold.checks import of_any, of_free, of_labels
from instar.app.scaffold.kinds import chinese
from instar.app.scaffold.prompts import Form
from instar.app.scaffold.tasks import FEWEST_GUARDED, Fit, Reading
from instar.update.weights.sft import SFT


def config_text(
    reading: Reading, fit: Fit, *, recipe: str, model: str, path: str, checks: str, form: Form | None = None,
    noted: Sequence[str] = (),
) -> str:  # fmt: skip
    """The commented TOML. ``path`` and ``checks`` are the tasks and the verifier as seen from the config's folder;
    ``form`` is how the rows are put to the model, ``noted`` what was seen when that was tried."""
    tokens = longest(reading)
    knows = recipes()[recipe].config.model_fields
    name = _quoted(reading.path.name)[1:-1]
    shows = [f"shows gains of about {x:.0f} points" for x in (fit.gate_detects, fit.detects)]
    form = form or Form("the question alone", "Solve the problem. Write the result after 'Answer:'.")
    return f"""# Written by `instar init {name}`. Everything here can be changed{"" if noted else "; nothing was run"}.
# Check it and see what it will cost:   instar run THIS_FILE --dry-run
# Relative paths lead from the folder of this file.
{"".join(f"# {line}" + chr(10) for line in noted)}
{_line(f"recipe = {_quoted(recipe)}", "`instar recipes` lists the methods")}
{_line(f"model = {_quoted(model)}", "`instar models` lists what can stand here")}
{_line(f"rounds = {fit.rounds}", "each draws its share of train and gate anew")}
seed = 1
{_CONTROL if "control" in knows else ""}
# What stands before every question. The verifier reads what follows "Answer:", or the whole reply.
system = {_quoted(form.system)}

[tasks]
{_source(reading, path)}
{_ability(reading)}
{_asked(form)}
# {reading.tasks} distinct tasks are split into disjoint sets: rounds * (train + gate) + sealed + dev of them are used.
# The gains in points are those that four of five runs show if the outcome of a third of the items changes.
[sizes]
{_line(f"train = {fit.train}", "per round: what is learned from")}
{_line(f"gate = {fit.gate}", f"per round: decides whether the candidate takes over; {shows[0]}")}
{_line(f"sealed = {fit.sealed}", f"scored once, at the end; {shows[1]}")}
dev = {fit.dev}
{_guards(reading, fit) if "gate" in knows else ""}
# Your verifier. The built-in ones are: auto, exact, numeric, choice, math
# ({reading.checker} would fit: {reading.why_checker}).
{_judge(knows["judge"].annotation)}
op = "verify"
checker = {_quoted(f"{checks}:is_right")}

# An answer that is cut off at max_tokens counts as it stands, which is mostly wrong; longer ones cost time.
[solve.sampling]
temperature = {warmth(reading)}
top_k = 40
max_tokens = {tokens}

[exam.solve.sampling]
temperature = 0.0
max_tokens = {tokens}
{_lessons(reading, fit, knows)}
{_line("# [budget]", "the run stops cleanly at these and can be resumed")}
# seconds = 1800
# disk_gb = 5
"""


def longest(reading: Reading) -> int:
    """Tokens of an answer, at most: what the longest gold answer takes, with room for words around it where an answer
    is worked out."""
    if reading.found.kind == "number":
        return min(320, max(96, max(map(len, reading.worked.values()), default=0) // 2 + 32))
    if reading.found.kind in ("free", "code"):
        return min(512, max(96, reading.longest_answer + 24))
    dense = 2 if chinese(list(reading.worked.values())) else 1  # such a character may be several tokens
    return min(160, 8 + dense * reading.longest_answer)


def warmth(reading: Reading) -> float:
    """The temperature of sampling. A short answer has little room to vary: at 0.7 most samples of one are the same."""
    return 0.7 if reading.found.kind in ("number", "free", "code") else 1.0


SHORT = ("classify", "choice", "extract")
"""Kinds of answers that are a few tokens."""


def _lessons(reading: Reading, fit: Fit, knows: Mapping[str, Any]) -> str:
    """How it is trained: few rows of few tokens are few steps, so they are read more often and with a longer stride."""
    if reading.found.kind not in SHORT or "train" not in knows or type(knows["train"].default) is not SFT:
        return ""
    epochs = 4 if fit.rounds * fit.train <= 200 else 3
    return f"""
{_line("[train]", "few rows with short answers: read more often than by default (2), with longer steps (5e-5)")}
epochs = {epochs}
learning_rate = 1e-4
"""


def _source(reading: Reading, path: str) -> str:
    """The lines of ``[tasks]`` that say where the rows are and how one is read."""
    form = reading.form
    lines = [f'op = "{"jsonl" if reading.plain else "rows"}"', f"path = {_quoted(path)}"]
    if form.layout != "columns":
        lines.append(f'layout = "{form.layout}"')
    if form.layout in ("sharegpt", "messages", "verl"):
        lines.append(f"question = {_quoted(form.question)}")
    else:
        lines += [f"question = {_quoted(form.question)}", f"answer = {_quoted(form.answer)}"]
    if form.layout == "choices":
        lines.append(_line(f"choices = {_quoted(form.choices)}", "the options go into the question as A, B, C, ..."))
        lines.append(_line(f"first = {form.first}", "what the first option is called where the answer is a number"))
    if form.mark:
        lines.append(_line(f"mark = {_quoted(form.mark)}", "the gold answer is what stands after it"))
    if form.context:
        lines.append(_line(f"context = {_quoted(form.context)}", "goes before the question"))
    if form.mixed:
        lines.append(
            _line("mixed = true", "the options in an order of each row's own: the right one stood at one place")
        )
    if form.system:
        lines.append(_line(f"system = {_quoted(form.system)}", "the column with the system's text"))
    if form.labels:
        lines.append(_line(f"labels = {_listed(form.labels)}", f"what the answers {form.first}, ... stand for"))
        lines += [f"first = {form.first}"] if form.first else []
    if form.without:
        lines.append(_line(f"without = {_listed(form.without)}", "rows with such an answer are left out"))
    return "\n".join(lines)


def _asked(form: Form) -> str:
    """The lines of ``[tasks]`` that say how a question is put to the model."""
    template = f"template = {_quoted(form.template)}" if form.template else '# template = "Text: {question}"'
    shown = _line(template, "what a question stands in; {column} puts in another column")
    if not form.shots:
        return f"{shown}\n"
    rows = "".join(f"  {{ {', '.join(f'{k} = {_quoted(v)}' for k, v in shot.items())} }},\n" for shot in form.shots)
    return f"""{shown}
# Worked examples, shown before every question as turns of the chat; these rows are in none of the sets.
shots = [
{rows}]
"""


_CONTROL = """
# The same base, trained on as many of its own answers that nobody checked: what checking adds is the difference. It
# costs one more training and one more sealed exam; false leaves it out.
control = true
"""


def _judge(slot: Any) -> str:
    """Whom the verifier serves: the whole run, or the exams alone where no gold answer may decide what is learned."""
    if isinstance(slot, type) and issubclass(Verify, slot):
        return "[judge]"
    return "# This recipe's own judge decides what is learned; yours, what the exams count as right.\n[exam.judge]"


def _ability(reading: Reading) -> str:
    if reading.ability is None:
        return _line('# ability = "topic"', "a column that names what a task is about: gains are shown for each")
    n = len(reading.abilities)
    return _line(f"ability = {_quoted(reading.ability)}", f"{n} found; gains are shown for each")


def _guards(reading: Reading, fit: Fit) -> str:
    """What the gate guards. An ability with too few items would refuse every candidate, whatever it gained."""
    n, few = len(reading.abilities), min(reading.abilities.values()) * fit.gate // reading.tasks
    if fit.guarded:
        return f"""
# The gate also refuses a candidate that may have lost more than guard_margin in any of the {n} abilities.
[gate]
guard_margin = 0.15
"""
    why = (
        "There is one ability: what the gate says of the gain is said of it."
        if n == 1
        else f"""The gate decides on the gain over all items. It does not guard each of the {n} abilities: the smallest
# has about {few} of the gate's items; a guard needs about {FEWEST_GUARDED} to pass. guarded = ["NAME"] guards one."""
    )
    return f"""
# {why}
[gate]
guarded = []
"""


def check_kept(checks: Path) -> None:
    """Raises ConfigError if a verifier that is there lacks the function that the config will name."""
    Verify(checker=f"{checks}:is_right")


def checks_text(reading: Reading) -> str:
    """The verifier to begin with: the suggested rule, in words a user can change."""
    if reading.checker in ("labels", "words"):
        text = _OPENING + (of_labels(reading.found) if reading.checker == "labels" else of_free())
    else:
        text = _CHECKS[reading.checker].replace("IMPORTS\n", "")
    if reading.several:
        text = of_any(text)
    return text.replace("SAMPLE", _comment(reading), 1)  # last, and once: a row and a label may hold any word


_OPENING = '''"""Your verifier. `is_right` gets the whole reply, and the row with its gold answer in "answer".

It returns True, False, or a number from 0 to 1. It runs in a process of its own: it may crash, loop or print.

A row of yours: SAMPLE
"""
'''
_HEAD = (
    _OPENING
    + """
IMPORTS
from instar.acquire.feedback.checkers import CHECK
from instar.extract import extract

"""
)
_COMPARED = '''
def is_right(reply: str, private: dict) -> bool:
    """What the reply says (after "Answer:", in a box, alone ...), read whole or not at all, is the gold answer."""
    said = extract(reply, HOW, private["answer"])
    return said is not None and CHECK(said, private)
'''


def _compared(check: str, how: str) -> str:
    """A verifier that finds the answer as the built-in one does, and compares it as that does: to begin with."""
    return (_HEAD + _COMPARED).replace("CHECK", check).replace("HOW", f'"{how}"')


_CHECKS = {
    "numeric": _compared("numeric", "auto"),
    "choice": _compared("choice", "choice"),
    "exact": _compared("exact", "auto"),
    "math": _compared("mathematics", "text"),
}


def _comment(reading: Reading) -> str:
    """A row as it can stand in a docstring."""
    text = json.dumps(dict(reading.sample), ensure_ascii=False, default=str)[:300]
    return text.replace("\\", "\\\\").replace('"""', "'''")


def _quoted(text: str) -> str:
    """A TOML string. JSON writes what is beyond 16 bits as two escapes, which TOML refuses: it stays as it is. DEL is
    what JSON takes as it is and TOML doesn't."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _line(setting: str, comment: str) -> str:
    return f"{setting:<24}  # {comment}"
