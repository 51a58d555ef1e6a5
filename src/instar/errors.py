"""The errors a user can meet: each says what happened, with the values, and what to do next."""

from __future__ import annotations


class InstarError(Exception):
    """Something the user can understand and mend. ``hint`` is the next step; ``exit_code`` is the shell's."""

    exit_code = 1
    resumes = True
    """Whether the same run can go on once the cause is mended; False on an error after which it would fail again."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(InstarError):
    """The configuration is wrong: found before a token is spent."""

    exit_code = 2


class DataError(InstarError):
    """A data set is missing, empty, malformed, too small, or its sets overlap."""

    exit_code = 3


class ModelError(InstarError):
    """A model or its weights cannot be found, read or used."""

    exit_code = 4


class EngineError(InstarError):
    """An engine refused or failed an ask. ``transient`` says whether asking again can help."""

    exit_code = 5

    def __init__(self, message: str, hint: str = "", *, transient: bool = False) -> None:
        super().__init__(message, hint)
        self.transient = transient


class StoreError(InstarError):
    """The ledger, the journal or an artefact is damaged, full, or cannot be written."""

    exit_code = 6


class Redacted(StoreError):
    """What was asked for had to go: its body is empty. The message says why, and when."""


class LockError(StoreError):
    """Another process writes this run. The message names it."""


class CannotContinue(InstarError):
    """A stored run and the present code or config disagree. The message names the flag that accepts the change."""

    exit_code = 7


class StepFailed(InstarError):
    """More of a step's calls failed than the step tolerates."""

    exit_code = 8


class NothingLearned(InstarError):
    """An update had nothing to learn from. It makes no candidate, which is recorded with this reason as a decision, and
    the run goes on with the policy that it has."""


class BudgetSpent(InstarError):
    """A budget is used up: the run stopped cleanly and can be resumed with a larger one."""

    exit_code = 9


class SandboxError(InstarError):
    """Untrusted code could not be run: this machine offers no walls, or they could not be set up. Nothing was run."""

    exit_code = 10


class JudgeRefused(InstarError):
    """A judge was measured on known answers, or could not be, and is not trusted: none of its verdicts was used."""

    exit_code = 11


class NothingToLearn(InstarError):
    """No answer of a round is right, or all are: the run stopped before it trained on nothing. The message says why.

    ``kept``: the message as a ledger may keep it: it names the task whose words the message quotes."""

    exit_code = 12

    def __init__(self, message: str, hint: str = "", *, kept: str = "") -> None:
        super().__init__(message, hint)
        self.kept = kept or message


class RunHeld(InstarError):
    """Two rounds in a row had alarms, and the brake says stop: the run can be resumed with another brake."""

    exit_code = 13


class Cancelled(InstarError):
    """The user asked the run to stop (Ctrl-C): everything finished is kept."""

    exit_code = 130


STOPS_THE_RUN = (ConfigError, StoreError, ModelError, BudgetSpent, Cancelled, CannotContinue)
"""What ends a run wherever it is raised; any other error is what one call came to."""
