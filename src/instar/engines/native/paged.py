"""A running batch over a cache of pages: asks join it and samples leave it between any two steps, and nothing is copied
for it but the page that samples stand in when they part.

The samples of one prompt are a tree: those that have said the same so far are one row, of which each draws its own next
token. They part where they draw different ones. A row's numbers do not depend on the rows beside it, so this changes no
reply; a model that is sure of itself writes eight samples for little more than the price of one.

A step takes one token of every row under way, and beside them a piece of the prompts that wait to be read. What is
kept of a sample is kept in arrays, so that Python's share of a step of 256 rows stays far below the kernels'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from instar.engines.native.llama import PAGE, SAMPLING, Ints, Llama
from instar.engines.native.pages import Pages
from instar.engines.native.sequence_state import SequenceState, draw_key, state_of
from instar.engines.scheduler.request import Request
from instar.engines.scheduler.sampler import BROKEN
from instar.engines.scheduler.validation import not_numbers
from instar.records import Finish

PREFILL = 512
"""Tokens of prompts read in one step: enough to keep the kernels busy, few enough that those who write wait little."""


class PagedBatch:
    """All samples under way. Used by one thread.

    ``tokens_read`` counts the tokens of prompts that were not found, ``tokens_written`` the rows that wrote replies:
    fewer than the tokens of the replies, by as much as samples said the same.
    """

    def __init__(self, llama: Llama, stop_ids: Sequence[int], rows: int, pages: Pages | None = None) -> None:
        self.tokens_read = self.tokens_written = 0
        self._llama, self._most = llama, rows
        self._stop = np.array(stop_ids, np.int32)
        self._pages = pages or Pages(llama.pages)
        self._under_way: list[SequenceState] = []
        self._reading: list[SequenceState] = []
        self._live: Ints = np.empty(0, np.int32)  # slots of samples that write, in the order they came
        self._leader = np.arange(rows, dtype=np.int32)  # the slot of the row that a sample is written by
        # a slot for each sample
        self._free = list(range(rows - 1, -1, -1))
        self._states: list[SequenceState | None] = [None] * rows
        self._own: list[list[int]] = [[] for _ in range(rows)]
        self._taken = np.zeros(rows, np.bool_)
        self._tables = np.zeros((rows, -(-llama.context // PAGE)), np.int32)
        self._token, self._position, self._place, self._limit, self._index = np.zeros((5, rows), np.int32)
        self._keys = np.zeros(rows, np.uint64)
        self._samplings = np.zeros(rows, SAMPLING)
        self._said = np.zeros((rows, 0), np.int32)

    @property
    def rows(self) -> Sequence[SequenceState]:
        """What is under way; empty when there is nothing to step."""
        return self._under_way

    def admits(self, fresh: Sequence[Request], request: Request) -> bool:
        """Whether ``request`` may join together with ``fresh``: by the pages that all can still come to need."""
        if sum(p.n for p in fresh) + request.n > len(self._free):
            return False
        return sum(self._cost(p) for p in (*fresh, request)) <= self._pages.headroom

    def join(self, requests: Sequence[Request]) -> None:
        """Let these be read in the steps to come."""
        for request in requests:
            state = state_of(request)
            state.slots = np.array([self._free.pop() for _ in range(request.n)], np.int32)
            self._under_way.append(state)
            self._reading.append(state)
            self._pages.promised += state.needs
            self._settle(state)
            self._find(state)

    def step(self) -> None:
        """One token more for each sample, and a piece of the prompts that wait."""
        live = self._live
        rows = live[self._leader[live] == live]
        for slot in rows[self._position[rows] % PAGE == 0].tolist():
            self._tables[slot, self._position[slot] // PAGE] = page = self._page()
            self._own[slot].append(page)
        pieces, kept = self._pieces()
        try:
            drawn, tokens = self._forward(rows, pieces)
        except BaseException:
            self._pages.forget(kept)
            raise
        self._position[live] += 1
        self.tokens_read += sum(end - start for _, start, end in pieces)
        read = [state for state, _, _ in pieces if state.read == len(state.ids)]
        self.tokens_written += len(rows)
        self._reading = [state for state in self._reading if state not in read]
        for state in read:
            self._begin(state)
        self._part(drawn, tokens)
        self._take(drawn, tokens)
        self._live = drawn[self._taken[drawn]]

    def compact(self) -> None:
        """Let those go that nobody waits for any more."""
        gone = [state for state in self._under_way if state.request.cancelled]
        for state in gone:
            self._drop(state)
        if gone:
            self._live = self._live[self._taken[self._live]]

    # --- joining ---------------------------------------------------------------------------------------------------

    def _cost(self, request: Request) -> int:
        """Pages of the room that it would take now."""
        state = state_of(request)
        found, idle = self._pages.cost(state.findable)
        return state.needs - found + idle

    def _settle(self, state: SequenceState) -> None:
        """What is known of its samples goes into the arrays."""
        request, slots = state.request, state.slots
        how = request.sampling
        if self._said.shape[1] < how.max_tokens:
            wider = np.zeros((len(self._said), how.max_tokens), np.int32)
            wider[:, : self._said.shape[1]] = self._said
            self._said = wider
        self._taken[slots] = True
        self._position[slots], self._place[slots], self._limit[slots] = len(state.ids), 0, how.max_tokens
        self._index[slots] = np.arange(request.n)
        self._keys[slots] = [draw_key(request.seed, request.first + i) for i in range(request.n)]
        self._samplings[slots] = (how.temperature, how.top_p, how.top_k or 0)
        for slot in slots.tolist():
            self._states[slot] = state

    def _find(self, state: SequenceState) -> None:
        """Pages with its beginning that are read already, or by a prompt of the step to come."""
        findable = state.findable
        while state.read // PAGE < len(findable):
            page = self._pages.find(findable[state.read // PAGE])
            if page is None:
                return
            self._pages.promised -= 1
            self._tables[state.slots[0], state.read // PAGE] = page
            state.pages.append(page)
            state.read += PAGE

    # --- a step ----------------------------------------------------------------------------------------------------

    def _pieces(self) -> tuple[list[tuple[SequenceState, int, int]], list[int]]:
        """What of the waiting prompts is read now (from, to), and the pages that can be found from now on."""
        headroom = PREFILL
        pieces: list[tuple[SequenceState, int, int]] = []
        kept: list[int] = []
        for state in self._reading:
            self._find(state)
            end = min(len(state.ids), state.read + headroom)
            if end < len(state.ids):
                end -= end % PAGE  # whole pages, so that one is found only when all of it is there
            if end <= state.read:
                break
            for at in range(state.read // PAGE, -(-end // PAGE)):
                self._tables[state.slots[0], at] = page = self._page()
                if at == len(state.chain):
                    state.rest = page
                    continue
                state.pages.append(page)
                if self._pages.keep(page, state.chain[at]):
                    kept.append(page)
            pieces.append((state, state.read, end))
            headroom -= end - state.read
            state.read = end
        return pieces, kept

    def _forward(self, rows: Ints, pieces: Sequence[tuple[SequenceState, int, int]]) -> tuple[Ints, Ints]:
        """Slots and the tokens that were drawn for them; ``rows`` are the slots that write."""
        drawn = self._live
        ids, positions, sequences = self._token[rows], self._position[rows], rows
        last = np.arange(len(rows), dtype=np.int32)
        place = np.zeros(len(self._leader), np.int32)
        place[rows] = last
        of = place[self._leader[drawn]]
        if pieces:
            read = [(state, end) for state, _, end in pieces if end == len(state.ids)]
            ends = len(rows) - 1 + np.cumsum([end - start for _, start, end in pieces], dtype=np.int32)
            ids = np.concatenate([ids, *(state.ids[start:end] for state, start, end in pieces)])
            positions = np.concatenate([positions, *(np.arange(s, e, dtype=np.int32) for _, s, e in pieces)])
            sequences = np.concatenate([rows, *(np.full(e - s, a.slots[0], np.int32) for a, s, e in pieces)])
            last = np.concatenate([last, ends[[e == len(a.ids) for a, _, e in pieces]]])
            of = np.concatenate([of, *(np.full(a.request.n, len(rows) + i, np.int32) for i, (a, _) in enumerate(read))])
            drawn = np.concatenate([drawn, *(state.slots for state, _ in read)])
        tokens = self._llama.step(
            ids, positions, sequences, self._tables, last, of,
            self._samplings[drawn], self._keys[drawn], self._place[drawn], alone=not pieces,
        )  # fmt: skip
        return drawn, tokens

    def _take(self, drawn: Ints, tokens: Ints) -> None:
        """Each slot gets its token; those that end with it leave."""
        self._said[drawn, self._place[drawn]] = tokens
        self._place[drawn] += 1
        self._token[drawn] = tokens
        stopped = (tokens[:, None] == self._stop).any(axis=1)
        ended = stopped | (self._place[drawn] >= self._limit[drawn]) | (tokens == BROKEN)
        if any(state.request.on_ids is not None for state in self._under_way):
            for slot, token in zip(drawn.tolist(), tokens.tolist(), strict=True):
                state = self._states[slot]
                if state is not None and token != BROKEN:
                    state.request.tell([token])
        for i in np.flatnonzero(ended).tolist():
            slot, state = int(drawn[i]), self._states[drawn[i]]
            if state is None:
                continue  # a sibling's numbers were broken
            request = state.request
            if tokens[i] == BROKEN:
                request.cancelled = True
                request.resolve(not_numbers())
                self._drop(state)
                continue
            said = tuple(self._said[slot, : self._place[slot]].tolist())
            request.outputs[int(self._index[slot])] = (said, Finish.stop if stopped[i] else Finish.length)
            if len(request.outputs) == request.n:
                request.resolve([request.outputs[k] for k in range(request.n)])
            self._leave(slot)

    def _begin(self, state: SequenceState) -> None:
        """The prompt is read: its samples are one row, in the slot that read it."""
        first = int(state.slots[0])
        self._leader[state.slots] = first
        if state.rest is not None:
            self._own[first].append(state.rest)
            state.rest = None

    def _part(self, drawn: Ints, tokens: Ints) -> None:
        """Samples that drew another token than the one whose row they are in go on in rows of their own."""
        said = np.zeros(len(self._leader), np.int32)
        said[drawn] = tokens
        heads: dict[tuple[int, int], int] = {}
        for slot in drawn[said[self._leader[drawn]] != tokens].tolist():
            old, token = int(self._leader[slot]), int(said[slot])
            head = heads.setdefault((old, token), slot)
            self._leader[slot] = head
            if head == slot and not self._ends(slot, token):
                self._branch(old, slot)

    def _ends(self, slot: int, token: int) -> bool:
        return token in self._stop or self._place[slot] + 1 >= self._limit[slot]

    def _branch(self, old: int, new: int) -> None:
        """A row of its own for a sample: whole pages are shared, the one that is being written is copied."""
        state = self._states[old]
        assert state is not None
        whole, rest = divmod(int(self._position[new]), PAGE)
        self._tables[new, :whole] = self._tables[old, :whole]
        for page in self._tables[old, len(state.chain) : whole].tolist():
            self._pages.share(page)
            self._own[new].append(page)
        if rest:
            page = self._page(blank=False)
            self._llama.copy(int(self._tables[old, whole]), page)
            self._tables[new, whole] = page
            self._own[new].append(page)

    def _page(self, *, blank: bool = True) -> int:
        """A page to write to. What is not a number is wiped out: it would be one even at no weight at all."""
        page = self._pages.take()
        if page in self._pages.spoiled:
            self._pages.spoiled.discard(page)
            if blank:
                self._llama.copy(0, page)
        return page

    # --- leaving ---------------------------------------------------------------------------------------------------

    def _leave(self, slot: int, *, spoiled: bool = False) -> None:
        state = self._states[slot]
        assert state is not None
        own, self._own[slot] = self._own[slot], []
        self._pages.release(own, spoiled=spoiled)
        self._pages.promised -= state.own - len(own)
        self._states[slot], self._taken[slot] = None, False
        self._free.append(slot)
        state.left -= 1
        if state.left:
            return
        if state.rest is not None:
            self._pages.release([state.rest], spoiled=spoiled)
            self._pages.promised += 1  # it was taken out of what a sample was promised
            state.rest = None
        self._pages.promised -= len(state.chain) - len(state.pages)
        self._pages.release(reversed(state.pages), spoiled=spoiled)  # a beginning is of use for longer than its end
        self._under_way.remove(state)
        if state in self._reading:
            self._reading.remove(state)

    def _drop(self, state: SequenceState) -> None:
        """All its samples leave at once."""
        spoiled = state.request.cancelled and (state in self._reading or BROKEN in self._token[state.slots])
        for slot in state.slots.tolist():
            if self._states[slot] is state:
                self._leave(slot, spoiled=spoiled)
