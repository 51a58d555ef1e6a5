"""Is a ledger what it says? Every id and digest derived again, every reference followed, in bounded memory.

Rows are read in batches and what the database can compare is compared there, so that a million records need no more
memory than a thousand. Nothing is believed: the file may be cut, flipped, or another program's.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DatabaseError

from instar.protocols import anywhere
from instar.records import KINDS, Policy, Reply, Role, Sampling, hash_of, mint
from instar.records.exchange import ask_hash, ask_key, border_key, seed_of
from instar.store.blank import is_blank
from instar.store.crossings import crossing_digest
from instar.store.exchanges import NOTHING, SHOWN_UP_TO, ask_digest, message_digest, messages_in, prompt_digest
from instar.store.ledger import Ledger
from instar.store.left_out import BY_HAND, LEFT_OUT
from instar.store.pointers import left_to, with_id, with_pointers
from instar.store.pointers import read as read_pointers
from instar.store.reach import DIGEST, names, reaching
from instar.store.redact import KINDS as CAN_GO
from instar.store.redact import OUTCOMES, PLACES, place_of
from instar.store.rows import LEARNED, learned_digest
from instar.store.schema import LASTING, LINKED
from instar.store.shape import damage

BATCH = 1000
MOST = 100
"""Sentences at most: where everything is wrong, nobody reads on."""
Tell = Callable[[int, int, str], None]
"""Told (rows done, rows in all, what is being read)."""


class _Enough(Exception):
    """There are ``MOST`` sentences."""


class _Wrong(list[str]):
    def say(self, sentence: str) -> None:
        self.append(sentence[:1000])
        if len(self) >= MOST:
            raise _Enough


def verify(ledger: Ledger, tell: Tell = lambda done, total, what: None) -> list[str]:
    """What is wrong, one sentence each; an empty list means the ledger is what it says. Never raises for what is there.

    Checked: the file itself, its indices and the types of all columns; every record's id, digest, made_from edges and
    call against its content; that what it needs as an artefact is a digest; that edges, calls, sets and steps end
    somewhere and count what they should; journalled replies and their tokens, and that what was shown is what was
    asked; operators' ids; that no task is in two sets and no policy descends from a held-out task.
    ``app.rederive`` goes on from there to the figures. Not checked: times, seconds, sessions, failed calls' words.
    """
    wrong = _Wrong()
    try:
        with ledger.snapshot() as db:
            for sentence in damage(db):
                wrong.say(sentence)
            if wrong:  # what cannot be read rightly cannot be judged
                return list(wrong)
            look = _Look(db, wrong, tell)
            for check in (look.redacted, look.about, look.ops, look.steps, look.sets, look.records, look.calls,
                          look.shown, look.journal, look.borders, look.inner, look.edges, look.learned,
                          look.lineage):  # fmt: skip
                check()
    except _Enough:
        wrong.append(f"and perhaps more: {MOST} are enough")
    except (sqlite3.Error, DatabaseError) as e:
        wrong.append(f"the file cannot be read to its end: {getattr(e, 'orig', None) or e}")
    except Exception as e:  # fail closed: what makes no sense is wrong, and never a traceback
        wrong.append(f"what is stored makes no sense ({type(e).__name__}: {str(e)[:200]})")
    return list(wrong)


class _Look:
    """The checks of one reading."""

    def __init__(self, db: sqlite3.Connection, wrong: _Wrong, tell: Tell) -> None:
        self.db, self.say, self.tell = db, wrong.say, tell
        sizes = [self._one(f"select count(*) from {name}") for name in ("records", "calls", "journal")]
        self.done, self.total = 0, sum(sizes)
        self.step_of: dict[str, tuple[str, int]] = {}
        self.gone: dict[str, str] = {}
        """What is listed as redacted: by id, what it is."""
        self.rollouts: set[str] = set()
        self.lost: set[str] = set()

    def _one(self, sql: str) -> Any:
        return self.db.execute(sql).fetchone()[0]

    def _rows(self, sql: str, what: str = "") -> Iterator[tuple[Any, ...]]:
        for row in self.db.execute(sql):
            yield row
            if what:
                self.done += 1
                if self.done % BATCH == 0:
                    self.tell(self.done, self.total, what)

    def about(self) -> None:
        about = dict(self.db.execute("select key, value from about"))
        for key in ("result", "resolved", "config", "stress", "limits", "versions", "cast"):
            if key in about and not isinstance(_json(about[key]), dict):
                self.say(f"what is noted about the run as {key!r} cannot be read")
        if "evolved_at" in about and _number(about["evolved_at"]) is None:
            self.say(f"the run is said to have evolved at {about['evolved_at']!r}, which is no number")

    def redacted(self) -> None:
        """What had to go is listed, is there, and is empty: nothing can be changed under that name."""
        if not self._one("select count(*) from sqlite_master where name = 'redacted'"):
            return  # an older ledger
        for id, what in self.db.execute("select id, what from redacted").fetchall():
            if what == OUTCOMES:
                self._blanked(id)
                continue
            if what not in (*CAN_GO, *PLACES):
                self.say(f"{id} is said to be redacted as a {what}, and nothing of that kind can be")
                continue
            table, key, empty = place_of(what)
            names = [*empty, *{"messages": ["role"], "records": ["kind"]}.get(table.name, [])]
            row = self.db.execute(f"select {', '.join(names)} from {table.name} where {key} = ?", (id,)).fetchone()
            if row is None:
                self.say(f"the {what} {id} is said to be redacted, and is not there")
            elif table.name == "records" and row[-1] != what:
                self.say(f"the {row[-1]} {id} is said to be redacted as a {what}")
            elif row[: len(empty)] != tuple(empty.values()) or (what == "message" and row[-1] not in set(Role)):
                self.say(f"the {what} {id} is said to be redacted, and is not empty")
            else:
                self.gone[id] = what

    def _blanked(self, id: str) -> None:
        """A report of which answers had to go is one, and is blank where it says so: at the tasks that are gone."""
        row = self.db.execute("select body from records where id = ? and kind = 'report'", (id,)).fetchone()
        said = _json(row[0]) if row else None
        outcomes = said.get("outcomes") if isinstance(said, dict) else None
        if not isinstance(outcomes, list) or not any(isinstance(o, dict) and is_blank(o) for o in outcomes):
            self.say(f"the report {id} is said to have had answers redacted, and none is blank")
        else:
            self.gone[id] = OUTCOMES

    def ops(self) -> None:
        for id, name, fields in self._rows("select id, name, fields from ops"):
            said = _json(fields)
            if not isinstance(said, dict):
                self.say(f"the fields of the operator {name} {id} cannot be read")
                continue
            is_recipe = set(said) == {"recipe"}
            derived = hash_of("recipe", said["recipe"]) if is_recipe else hash_of("op", anywhere(said))
            if derived != id or said.get("recipe" if is_recipe else "op") != name:
                self.say(f"the operator {name} {id} should be {derived} by its fields")

    def steps(self) -> None:
        known = {row[0] for row in self._rows("select id from ops")}
        sql = """select s.key, s.verb, s.op, s.round, s.items, s.finished, count(c.key), sum(c.status = 'failed')
                 from steps s left join calls c on c.step = s.key group by s.key"""
        for key, verb, op, round, items, finished, calls, failed in self._rows(sql):
            self.step_of[key] = (op, round)
            if verb == "rollout":
                self.rollouts.add(key)
            if op not in known:
                self.say(f"the {verb} step {key} is of the operator {op}, which is not there")
            if calls > items:
                self.say(f"the {verb} step {key} has {calls} calls for its {items} items")
            if finished not in (0, 1) or (finished and failed):
                self.say(f"the {verb} step {key} is finished = {finished} with {failed} calls that failed")

    def sets(self) -> None:
        lost = """select s.name, s.task from sets s left join records r on r.id = s.task and r.kind = 'task'
                  where r.id is null"""
        for name, task in self._rows(lost):
            self.say(f"the set {name} names the task {task}, which is not there")
        twice = "select task, min(name), max(name) from sets group by task having min(name) <> max(name)"
        for task, one, two in self._rows(twice):
            self.say(f"the task {task} is in two sets: {one} and {two}")
        said = self.db.execute("select value from about where key = 'sets_digest'").fetchone()
        if said is not None:
            found: dict[str, list[str]] = {}
            for name, task in self._rows("select name, task from sets order by name, position"):
                found.setdefault(name, []).append(task)
            if hash_of("sets", found) != said[0]:
                self.say("the sets are not those that the run was made with")

    def records(self) -> None:
        pointing = "pointers" in {row[1] for row in self.db.execute("pragma table_info(records)")}
        beside = f"call, {'pointers' if pointing else 'null'}"
        sql = f"select id, kind, digest, body, op, round, idx, inputs, {beside} from records order by rowid"
        batch: dict[str, tuple[str, set[str]]] = {}
        for *row, call, pointers in self._rows(sql, "records"):
            row[7] = self._spelt(row[7])
            gone = row[0] in self.gone or any(s.exchange in self.gone for s in left_to(pointers, call).values())
            for sentence in () if gone else _check(self._filled(pointers, call), *row):
                self.say(sentence)
            inputs = _json(row[7])
            may_go = row[1] in CAN_GO or self.gone.get(row[0]) == OUTCOMES
            if gone and (not may_go or mint(row[1], row[4], inputs, row[5], row[6]) != row[0]):
                self.say(f"the {row[1]} {row[0]} of which words were redacted should have another id by what made it")
            batch[row[0]] = (row[1], {i for i in inputs if isinstance(i, str)} if isinstance(inputs, list) else set())
            if len(batch) == BATCH:
                self._made_from(batch)
                batch = {}
        self._made_from(batch)
        if pointing:
            self._pointers()

    def _spelt(self, inputs: str) -> str:
        """What a record was made from by ids, where it is stored by numbers."""
        said = _json(inputs)
        if not isinstance(said, list) or not any(type(i) is int for i in said):
            return inputs
        sql = "select n, id from records where n in (select value from json_each(?))"
        ids = dict(self.db.execute(sql, (json.dumps([i for i in said if type(i) is int]),)))
        return json.dumps([ids.get(i, f"i1:number {i}") if type(i) is int else i for i in said])

    def _filled(self, pointers: str | None, call: str) -> tuple[str | None, str, dict[str, Any]]:
        """The pointers of a record that left words to exchanges, with what was said in these; nothing for any other."""
        try:
            asked = {said.exchange for said in left_to(pointers, call).values()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            asked = set()  # said below
        sql = "select key, replies from journal where key in (select value from json_each(?))"
        found = self.db.execute(sql, (json.dumps(sorted(asked)),)) if asked else ()
        return (pointers if asked else None), call, {key: _json(said) for key, said in found}

    def _pointers(self) -> None:
        """Each turn that knows where it was said was said there."""
        said: dict[str, list[str]] = {}  # the replies of the exchanges that were looked at last
        for id, body, call, pointers in self._rows(
            "select id, body, call, pointers from records where pointers is not null"
        ):
            turns = _turns(body)
            try:
                found, left = read_pointers(pointers, call), left_to(pointers, call)
            except (ValueError, TypeError, AttributeError, RecursionError):
                self.say(f"where the turns of {id} were said cannot be read")
                continue
            for place, at in found.items():
                if id in self.gone or at.exchange in self.gone:
                    continue
                if at.exchange not in said:
                    row = self.db.execute("select replies from journal where key = ?", (at.exchange,)).fetchone()
                    if len(said) > BATCH:
                        said.clear()
                    said[at.exchange] = [] if row is None else _texts(row[0])
                replies = said[at.exchange]
                text = replies[at.reply][: at.chars] if at.reply < len(replies) else None
                if text is None or place >= len(turns) or turns[place] != ("" if place in left else text):
                    self.say(f"turn {place} of {id} is not what was said in the model call {at.exchange}")

    def _made_from(self, batch: dict[str, tuple[str, set[str]]]) -> None:
        sql = """select e.child, e.parent from json_each(?) j cross join edges e
                 on e.child = j.value and e.type = 'made_from'"""
        parents: dict[str, set[str]] = {id: set() for id in batch}
        for child, parent in self.db.execute(sql, (json.dumps(list(batch)),)):
            parents[child].add(parent)
        named = {i for _, inputs in batch.values() for i in inputs}
        there = "select r.id from json_each(?) j cross join records r on r.id = j.value"
        records = {row[0] for row in self.db.execute(there, (json.dumps(sorted(named)),))}
        for id, (kind, inputs) in batch.items():
            for lost in sorted(i for i in inputs - records - self.lost if i.startswith("i1:")):  # else it is a name
                self.say(f"the {kind} {id} was made from {lost}, which is not there")
                self.lost.add(lost)
            said = (inputs & records) - {id}
            # a policy is what it is: a second way to the same weights adds edges, and never takes one away
            if not said <= parents[id] or (kind != "policy" and said != parents[id]):
                self.say(f"the made_from edges of the {kind} {id} are not those it was stored with")

    def calls(self) -> None:
        theirs = 0
        for key, step, status, outputs in self._rows("select key, step, status, outputs from calls", "calls"):
            if step not in self.step_of:
                self.say(f"the call {key} is of the step {step}, which is not there")
            if status not in ("finished", "failed", "dropped"):
                self.say(f"the call {key} is {status!r}, which is no state of a call")
            made = _json(outputs)
            if not isinstance(made, list) or not all(isinstance(i, str) for i in made):
                self.say(f"what the call {key} made cannot be read")
                continue
            for i in range(0, len(made), BATCH):
                theirs += self._made_by(key, step, made[i : i + BATCH])
        by_hand = f"call = '{BY_HAND}' and op = '{LEFT_OUT}' and kind = 'decision'"
        ended = "call = 'end' and kind = 'result'"
        made = f"call not in ('sets', 'start') and kind <> 'policy' and not ({by_hand}) and not ({ended})"
        left = self._one(f"select count(*) from records where {made}") - theirs
        if left:
            self.say(f"{left} records name a call that does not say it made them")

    def _made_by(self, key: str, step: str, made: list[str]) -> int:
        """How many of these records, policies aside, name this call as theirs: others have it from another call."""
        sql = "select r.id, r.kind, r.call, r.op, r.round from json_each(?) j cross join records r on r.id = j.value"
        found = {row[0]: row[1:] for row in self.db.execute(sql, (json.dumps(made),))}
        theirs = 0
        for id in made:
            if id not in found:
                self.say(f"the call {key} says it made {id}, which is not there")
                continue
            kind, call, op, round = found[id]
            # ids of a rollout hang on no round, and its feedback is its judge's
            of = (op if kind == "feedback" else self.step_of[step][0], 0) if step in self.rollouts else None
            if call == key and step in self.step_of and (op, round) != (of or self.step_of[step]):
                self.say(f"the {kind} {id} is of the operator {op} in round {round}; its call is of another step")
            theirs += call == key and kind != "policy"
        return theirs

    def journal(self) -> None:
        replies = TypeAdapter(tuple[Reply, ...])
        columns = [row[1] for row in self.db.execute("pragma table_info(journal)")]
        for values in self._rows(f"select {', '.join(columns)} from journal order by rowid", "journal"):
            row = dict(zip(columns, values, strict=True))
            key = row["key"]
            if key in self.gone:
                if row["step"] not in self.step_of:
                    self.say(f"the ask {key} is of the step {row['step']}, which is not there")
                continue
            try:
                said = replies.validate_json(row["replies"])
            except ValidationError as e:
                self.say(f"the journalled replies to {key} cannot be read: {e.errors()[0]['msg']}")
                continue
            if row.get("digest") is not None and row["digest"] != ask_digest(row):
                self.say(f"the journalled ask {key} does not match its digest: it was changed")
            if row["step"] not in self.step_of:
                self.say(f"the ask {key} is of the step {row['step']}, which is not there")
            made, read = sum(r.tokens for r in said), said[0].prompt_tokens if said else 0
            if not said or (made, read) != (row["tokens"], row["prompt_tokens"]):
                self.say(f"the tokens of the ask {key} are not those of its replies")
            if any(r.policy != row["policy"] for r in said):
                self.say(f"the ask {key} went to the policy {row['policy']} and another answered")
            if row.get("role") is not None:  # else it is of schema 1, which kept nothing else
                self._exchange(key, row, len(said))

    def _exchange(self, key: str, row: dict[str, Any], n: int) -> None:
        """What schema 2 keeps of a model call follows from its key and from the ask that it was."""
        if ask_key(row["call"], row["turn"], row["role"], row.get("branch") or "") != key:
            self.say(f"the ask {key} should have another key as the ask {row['turn']} of {row['role']} in its call")
        if row["seed"] != seed_of(key):
            self.say(f"the ask {key} says that its seed was {row['seed']}")
        if row["messages"] is None or row["sampling"] is None:
            self.say(f"the ask {key} does not say what was shown and how it was sampled")
            return
        rows = self.db.execute(SHOWN_UP_TO, {"last": row["messages"]}).fetchall()
        if self.gone and not self.gone.keys().isdisjoint((*(before for before, _, _ in rows[1:]), row["messages"])):
            return
        messages = messages_in(rows, row["messages"])
        if messages is None:
            self.say(f"what was shown in the ask {key} is not all there")
            return
        sampling = Sampling.model_validate_json(row["sampling"])
        if ask_hash(messages, n, sampling, row["policy"], row["precision"]) != row["ask"]:
            self.say(f"the ask {key} is not what was shown and how it was sampled")

    def shown(self) -> None:
        """Messages and prompts, each by its digest, and that all that is named is there."""
        if not self._one("select count(*) from sqlite_master where name in ('messages', 'prompts')"):
            return  # a ledger of schema 1
        for digest, before, role, content in self._rows("select digest, before, role, content from messages"):
            if digest not in self.gone and message_digest(before, role, content) != digest:
                self.say(f"the message {digest} does not match its digest: it was changed")
        for digest, reader, ids in self._rows("select digest, reader, ids from prompts"):
            found = _json(ids)
            if digest not in self.gone and (not isinstance(found, list) or prompt_digest(reader, found) != digest):
                self.say(f"the prompt {digest} does not match its digest: it was changed")
        lost = """select before from messages m where before <> ?
                  and not exists (select 1 from messages where digest = m.before)"""
        for (before,) in self.db.execute(lost, (NOTHING,)):
            self.say(f"a message follows on {before}, which is not there")
        if "prompt" not in {row[1] for row in self.db.execute("pragma table_info(journal)")}:
            return  # the tables of schema 2 in a ledger of schema 1, as a mended one has
        lost = """select key from journal j where prompt is not null
                  and not exists (select 1 from prompts where digest = j.prompt)"""
        for (key,) in self.db.execute(lost):
            self.say(f"the prompt of the ask {key} is not there")

    def borders(self) -> None:
        if not self._one("select count(*) from sqlite_master where name = 'borders'"):
            return  # a ledger of schema 1
        there = {row[1] for row in self.db.execute("pragma table_info(borders)")}
        names = ("key", "step", "call", "kind", "n", "asked", "said", "digest", *({"branch"} & there))
        for values in self._rows(f"select {', '.join(names)} from borders"):
            row = dict(zip(names, values, strict=True))
            what = f"the {row['kind']} {row['key']}"
            if row["key"] in self.gone:
                continue
            if crossing_digest(row) != row["digest"]:
                self.say(f"{what} does not match its digest: it was changed")
            if border_key(row["call"], row["kind"], row["n"], row.get("branch") or "") != row["key"]:
                self.say(f"{what} should have another key as number {row['n']} of its call")
            if row["step"] not in self.step_of:
                self.say(f"{what} is of the step {row['step']}, which is not there")
            if _json(row["asked"]) is _BAD or (row["said"] is not None and _json(row["said"]) is _BAD):
                self.say(f"{what} cannot be read")

    def inner(self) -> None:
        for call, key, value in self._rows("select call, key, value from inner_steps"):
            if _json(value) is _BAD:
                self.say(f"the inner step {key!r} of the call {call} cannot be read")

    def edges(self) -> None:
        linked = self._one("select count(*) from sqlite_master where name = 'links'")  # else it is of schema 1 or 2
        table, at = ("links", "n") if linked else ("edges", "id")
        for end in ("child", "parent"):
            sql = f"select distinct {end} from {table} e where not exists (select 1 from records where {at} = e.{end})"
            for (id,) in self._rows(sql):
                self.say(f"an edge ends at {id}, which is not there")
        other = """select distinct e.child from edges e join records p on p.id = e.parent where e.type = 'decided_by'
                   and e.child is not json_extract(p.body, case p.kind when 'decision' then '$.item'
                                                                       when 'verdict' then '$.candidate' end)"""
        for (id,) in self._rows(other):
            self.say(f"what is said to have decided on {id} decided on something else")
        known = ", ".join(str(n) if linked else f"'{word}'" for word, n in LINKED.items())
        for (kind,) in self._rows(f"select distinct type from {table} where type not in ({known})"):
            self.say(f"there are edges of the unknown type {kind!r}")

    def learned(self) -> None:
        """What policies learned are turns of answers that are there, of policies that updates made."""
        if not self._one("select count(*) from sqlite_master where name = 'learned'"):
            return  # a ledger of schema 1 or 2
        sql = """select l.turn, l.how, l.sign, p.id, s.id, p.kind = 'policy' and p.call <> 'start', s.kind = 'solution',
                        json_type(s.body, '$.turns[' || l.turn || ']') = 'object'
                          and coalesce(json_extract(s.body, '$.turns[' || l.turn || '].train'), 1)
                 from learned l left join records p on p.n = l.policy left join records s on s.n = l.solution"""
        for turn, how, sign, policy, solution, made, answer, trained in self._rows(sql):
            trained = trained or solution in self.gone  # which turns it had went with it
            if not made or not answer:
                self.say(f"{policy or 'what is not there'} is said to have learned {solution or 'what is not there'}")
            elif how not in (0, 1) or sign not in (1, -1) or not trained:
                self.say(f"the policy {policy} cannot have learned turn {turn} of {solution} ({how}, {sign})")
        # a policy that was passing in a rollout is of the same call: what is kept there is of the one it ended with
        sql = f"select id, call, {LASTING} from records where kind = 'policy' and call <> 'start'"
        for policy, call, lasting in self.db.execute(sql).fetchall():
            found = self.db.execute(str(LEARNED), {"policy": policy, "call": call}).fetchall()
            kept = "select value from inner_steps where call = ? and key = 'learned'"
            said = self.db.execute(kept, (call,)).fetchone()
            if (found or (lasting and said is not None)) and (said is None or _json(said[0]) != learned_digest(found)):
                self.say(f"what the policy {policy} learned is not what is kept of it beside its call")

    def lineage(self) -> None:
        """From all policies at once: one walk, however many there are. Only a finding is worth a walk of its own."""
        up = """with recursive up(id) as ({0} union select e.parent from edges e join up on e.child = up.id
                where e.type = 'made_from') select s.task from up join sets s on s.task = up.id
                where s.name <> 'train'"""
        if self.db.execute(up.format("select id from records where kind = 'policy'")).fetchone() is None:
            return
        for (policy,) in self.db.execute("select id from records where kind = 'policy'").fetchall():
            reached = [row[0] for row in self.db.execute(up.format("values (?)"), (policy,))]
            if reached:
                self.say(f"the policy {policy} descends from {len(reached)} held-out tasks, such as {min(reached)}")


_BAD = object()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _BAD


def _turns(body: str) -> list[str]:
    """The texts of a solution's turns; none where it is none: that is said already."""
    said = _json(body)
    turns = said.get("turns") if isinstance(said, dict) else None
    return [t["text"] for t in turns if isinstance(t, dict) and "text" in t] if isinstance(turns, list) else []


def _texts(replies: str) -> list[str]:
    said = _json(replies)
    return [str(r.get("text")) for r in said if isinstance(r, dict)] if isinstance(said, list) else []


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _check(
    beside: tuple[str | None, str, Mapping[str, Any]],
    id: str, kind: str, digest: str, body: str, op: str, round: int, index: int, inputs: str,
) -> Iterator[str]:  # fmt: skip
    try:
        record = with_pointers(with_id(KINDS[kind].model_validate_json(body), id), *beside)
        found = record.digest
    except (KeyError, ValueError, RecursionError, IndexError, TypeError) as e:
        yield f"the {kind} {id} cannot be read: {(str(e).splitlines() or [''])[0]}"
        return
    if record.id != id:
        yield f"the {kind} {id} carries another id inside: {record.id}"
    if found != digest:
        yield f"the content of the {kind} {id} does not match its digest: it was changed"
    made_from = _json(inputs)
    if not isinstance(made_from, list):
        yield f"what the {kind} {id} was made from cannot be read"
        return
    derived = record.identified().id if isinstance(record, Policy) else mint(kind, op, made_from, round, index)
    if derived != id:
        yield f"the {kind} {id} should be {derived} by what it says made it"
    for named in names(record) if kind in reaching() else ():
        if not DIGEST.fullmatch(named):
            yield f"the {kind} {id} needs the artefact {named!r}, which is no digest"
