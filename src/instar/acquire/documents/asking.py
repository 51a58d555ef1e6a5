"""Passages and what is asked of them as tasks: the key in the passage, the passage out of the question."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from instar.acquire.documents.facts import Fact, facts, gap, others, table_questions
from instar.acquire.documents.passages import Passage, Span, holds
from instar.acquire.documents.showing import numbered
from instar.acquire.tasks.canonical import canonical
from instar.records import Message, Role, Task, hash_of

PASSAGE = "passage"
"""The ability of a task that is a passage to learn from, and asks nothing."""


def told(passages: Sequence[Passage], source: str) -> list[Task]:
    """A task for each passage: to say what it says. Whoever makes tasks from it finds in its private data the text,
    its title, and what it is ``grounded_in``: the document's digest and name, and where in it the passage stands."""
    titles = [p.title for p in passages]
    return [
        Task(
            messages=(Message(role=Role.user, content=f"Tell me about {p.title}{_part(titles, n)}."),), ability=PASSAGE,
            canonical=f"passage:{p.digest}", source=source,
            private={"passage": p.text, "title": p.title, "grounded_in": grounded_in(p, p.span)},
        )
        for n, p in enumerate(passages)
    ]  # fmt: skip


def _part(titles: Sequence[str], place: int) -> str:
    before = titles[:place].count(titles[place])
    return f" (part {before + 1})" if before else ""


def grounded_in(passage: Passage, span: Span) -> dict[str, Any]:
    """Where a value or passage stands: characters of the document's text, and the document by digest and name. This
    edge is content of the task and none of the ledger's ``made_from``: a held-out question of the same document is no
    ancestor of what was learned from it."""
    return {
        "document": passage.document, "name": passage.name, "passage": passage.digest, "start": span.start,
        "end": span.end,
    }  # fmt: skip


def passage_of(task: Task) -> Passage:
    """The passage that a task of ``told`` is of."""
    where = task.private["grounded_in"]
    text = str(task.private["passage"])
    span = Span(int(where["start"]), int(where["end"]))
    return Passage(str(where["document"]), str(where["name"]), str(task.private["title"]), span, Span(0, 0), text)


def question_of(fact: Fact, question: str, beside: Sequence[str], source: str, ability: str, **more: Any) -> Task:
    """A question for a fact, without its passage. Told right by ``verify`` with ``checker = "guard_item"``: the answer
    stands in the reply, and none of ``beside`` does."""
    private = {
        "answer": fact.answer, "told_by": "mentions", "others": list(beside), "passage": fact.passage.text,
        "title": fact.passage.title, "grounded_in": grounded_in(fact.passage, fact.span), **more,
    }  # fmt: skip
    return Task(
        messages=(Message(role=Role.user, content=question),), ability=ability, canonical=canonical(question),
        source=source, private=private,
    )  # fmt: skip


def by_rule(passage: Passage, source: str, ability: str) -> Iterator[Task]:
    """What can be asked of a passage without any model: the values of its sentences as gaps, the cells of its tables.
    Each answer stands in the passage, and in its question does not."""
    found = facts(passage)
    for fact in found:
        yield question_of(fact, gap(fact), others(fact, found), source, ability, written_by="rule")
    for question, answer in table_questions(passage):
        place = holds(passage.text, answer)
        if place is not None and holds(question, answer) is None:
            at = passage.span.start + place.start
            fact = Fact(passage, passage.text, passage.text[place.start : place.end],
                        Span(at, at + place.end - place.start))  # fmt: skip
            yield question_of(fact, question, (), source, ability, written_by="rule")


def with_texts(task: Task, among: Sequence[Passage], distractors: int) -> Task:
    """The same question with numbered texts before it: the passage that answers it, and others in which its answer
    does not stand. Which and in what order hangs on the question alone. What is to be cited is ``cite``."""
    own, answer = str(task.private["passage"]), str(task.private["answer"])
    luck = random.Random(hash_of("texts", task.canonical))
    texts = [own]
    for place in luck.sample(range(len(among)), len(among)):
        if len(texts) > distractors:
            break
        other = among[place].text
        if other not in texts and holds(other, answer) is None:
            texts.append(other)
    luck.shuffle(texts)
    said = Message(role=Role.user, content=numbered(texts, task.question))
    private = {**task.private, "texts": len(texts), "cite": [texts.index(own) + 1]}
    return task.model_copy(update={"messages": (*task.messages[:-1], said), "private": private})
