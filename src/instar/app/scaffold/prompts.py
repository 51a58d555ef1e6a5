"""The ways in which rows of a kind can be put to a small model: the question alone, with an instruction that says what
an answer looks like, and with worked examples before it as turns of the chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from instar.app.scaffold.kinds import OfKind, chinese

MOST_SHOTS = 8
"""Examples, at most: one a label where there are labels."""
FEW_SHOTS = 3
"""Examples where there are no labels."""


@dataclass(frozen=True)
class Form:
    """One way to ask. ``shots`` are rows with ``question`` and ``answer``."""

    name: str
    system: str
    template: str = ""
    shots: tuple[Mapping[str, str], ...] = ()


def forms(found: OfKind, rows: Sequence[tuple[str, str]], *, instruction: str = "") -> list[Form]:
    """Two or three ways to ask, the plainest first. ``rows``: (question, answer as an example would give it), of which
    examples may be taken; ``instruction``: what all rows are told alike, if they are."""
    said = _instruction(found, [q for q, _ in rows], instruction)
    plain = Form("the question alone", instruction or _PLAIN[found.kind == "number"])
    told = Form("an instruction", said)
    chosen = shots(found, rows)
    made = [plain, told] if said != plain.system else [told]
    if chosen:
        made.append(Form(f"an instruction and {len(chosen)} examples", said, "", chosen))
    return made


_PLAIN = ("You are a helpful assistant.", "Solve the problem. Write the result after 'Answer:'.")


def shots(found: OfKind, rows: Sequence[tuple[str, str]]) -> tuple[Mapping[str, str], ...]:
    """Examples, of middling length: one a label in the order of the rows, or a few with different answers."""
    by_length = sorted(range(len(rows)), key=lambda i: len(rows[i][0]) + len(rows[i][1]))
    middling = sorted(by_length[len(rows) // 4 : 3 * len(rows) // 4])
    most = min(MOST_SHOTS, len(found.labels)) if found.labels else FEW_SHOTS
    chosen: dict[str, str] = {}
    for question, answer in [rows[i] for i in middling] + list(rows):
        if answer not in chosen and len(chosen) < most:
            chosen[answer] = question
    return tuple({"question": q, "answer": a} for a, q in chosen.items())


def _instruction(found: OfKind, questions: Sequence[str], given: str) -> str:
    """What stands before every question: what is wanted, and what an answer looks like."""
    zh = chinese(questions)  # said in their language, with its punctuation
    if found.kind == "classify":
        listed = ("、" if zh else ", ").join(found.labels)
        asks = f"把文本归入以下类别之一\uff1a{listed}。只回答类别本身。" if zh else (
            f"Which of these fits: {listed}? Answer with one of them and nothing else."
        )  # fmt: skip
    elif found.kind == "choice":
        asks = (
            "选出正确的选项\uff0c只回答它的字母。" if zh else "Choose the right option. Answer with its letter alone."
        )
    elif found.kind == "number":
        asks = "解答问题\uff0c把结果写在“答案\uff1a”之后。" if zh else _PLAIN[1]
    elif found.kind == "extract":
        whence = ("从文本中摘出答案\uff0c", "Take the answer from the text. ") if found.copied else ("", "")
        asks = f"{whence[0]}只回答结果本身。" if zh else f"{whence[1]}Answer with the result alone, nothing else."
    elif found.kind == "code":
        asks = "只写出代码\uff0c放在一个代码块里。" if zh else "Reply with the code only, in a code block."
    else:
        asks = "简短地回答。" if zh else "Answer in a few sentences."
    return f"{given.strip()} {asks}".strip()
