"""Small records for the tests of this room."""

from instar.records import Finish, Message, Role, Sampling, Solution, Task, Turn


def task(question="What is 3 + 4?", **private) -> Task:
    message = Message(role=Role.user, content=question)
    return Task(id="t", messages=(message,), ability="sum", canonical=question, source="test", private=private)


def solution(text: str, id: str = "s") -> Solution:
    return Solution(
        id=id,
        task="t",
        turns=(Turn(text=text),),
        policy="p",
        engine="e",
        precision="f32",
        sampling=Sampling(),
        finish=Finish.stop,
    )
