"""The nouns: frozen records with a content digest. Everything that happens in a run is one of these.

A record's ``id`` is minted by the run from what made it (operator, inputs, round, index): two equal samples do not
collide. Its ``digest`` is a hash of its content alone: equal content can be found. A policy is the exception: its id
*is* the digest of what it is (weights, prompt, memory), so "the same policy" means something.
"""

from __future__ import annotations

from instar.dialogue import Finish as Finish
from instar.dialogue import Learn as Learn
from instar.dialogue import Message as Message
from instar.dialogue import Prompt as Prompt
from instar.dialogue import Reply as Reply
from instar.dialogue import Role as Role
from instar.dialogue import Said as Said
from instar.dialogue import Sampling as Sampling
from instar.dialogue import ToolCall as ToolCall
from instar.dialogue import ToolSpec as ToolSpec
from instar.dialogue import calls_answered as calls_answered
from instar.dialogue import in_words as in_words

# the names are at home in ``dialogue`` and ``hashing``; whoever asks for them here goes on finding them
from instar.hashing import ID_SCHEME as ID_SCHEME
from instar.hashing import canonical_json as canonical_json
from instar.hashing import hash_of as hash_of
from instar.hashing import mint as mint
from instar.records.assessment import Assessment as Assessment
from instar.records.decision import Decision as Decision
from instar.records.exam import Exam as Exam
from instar.records.exam import suite_kind as suite_kind
from instar.records.exchange import Exchange as Exchange
from instar.records.experience import Experience as Experience
from instar.records.experience import Learned as Learned
from instar.records.feedback import Feedback as Feedback
from instar.records.feedback import Mark as Mark
from instar.records.health import Alarm as Alarm
from instar.records.health import Health as Health
from instar.records.health import Vitals as Vitals
from instar.records.likelihood import Likelihood as Likelihood
from instar.records.likelihood import Likely as Likely
from instar.records.note import Note as Note
from instar.records.note import NoteKind as NoteKind
from instar.records.note import Trust as Trust
from instar.records.objective import Objective as Objective
from instar.records.pair import Pair as Pair
from instar.records.pair import Preference as Preference
from instar.records.plant import Plant as Plant
from instar.records.plant import Worth as Worth
from instar.records.policy import Policy as Policy
from instar.records.policy import Weights as Weights
from instar.records.record import Record as Record
from instar.records.report import Interval as Interval
from instar.records.report import Outcome as Outcome
from instar.records.report import Report as Report
from instar.records.result import Result as Result
from instar.records.solution import ASIDES as ASIDES
from instar.records.solution import OWN as OWN
from instar.records.solution import Polarity as Polarity
from instar.records.solution import Solution as Solution
from instar.records.solution import Strategy as Strategy
from instar.records.solution import Turn as Turn
from instar.records.solution import TurnKind as TurnKind
from instar.records.task import Task as Task
from instar.records.verdict import Check as Check
from instar.records.verdict import Verdict as Verdict

KINDS: dict[str, type[Record]] = {
    c.kind: c
    for c in (
        Task, Solution, Feedback, Decision, Objective, Policy, Exam, Report, Verdict, Health, Plant, Assessment,
        Exchange, Result, Preference, Note, Likelihood,
    )
}  # fmt: skip
