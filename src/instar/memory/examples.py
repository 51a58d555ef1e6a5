"""A solved task as a note: its question and its answer in one text, and read back as the turns of a conversation."""

from __future__ import annotations

from instar.records import Message, Role

BETWEEN = "\n=> "
"""What stands between the two; neither may hold it."""


def example_text(question: str, answer: str) -> str | None:
    """Both as the text of a note; None where one is empty or holds what stands between them."""
    question, answer = question.strip(), answer.strip()
    if not question or not answer or BETWEEN in question or BETWEEN in answer:
        return None
    return f"{question}{BETWEEN}{answer}"


def example_turns(text: str) -> tuple[Message, Message] | None:
    """The two as a conversation shows them; None for a text that is no such note."""
    question, between, answer = text.partition(BETWEEN)
    if not (between and question and answer):
        return None
    return Message(role=Role.user, content=question), Message(role=Role.assistant, content=answer)
