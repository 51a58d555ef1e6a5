"""Which pages of a cache are free, in use, or idle: kept for the next prompt with the same beginning.

A page of a prompt is known by the digest of all tokens up to its end, so it is found only after the very same
beginning. Pages that nobody uses stay to be found until room is needed; the one used longest ago goes first.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.engines.native.llama import PAGE

Digest = bytes


class Pages:
    """Pages 1 to ``count``. ``spoiled`` are those that may hold what is not a number: blank them when they are taken.

    ``promised`` counts pages that those under way may still take; ``headroom`` is what is left beyond them.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.promised = 0
        self.spoiled: set[int] = set()
        self._free = list(range(count, 0, -1))
        self._users: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._page: dict[Digest, int] = {}
        self._digest: dict[int, Digest] = {}

    @property
    def headroom(self) -> int:
        """Pages that can still be promised."""
        return len(self._free) + len(self._idle) - self.promised

    def cost(self, chain: Sequence[Digest]) -> tuple[int, int]:
        """Of a prompt's whole pages: how many are found, and how many of those are idle (using them costs room)."""
        found = idle = 0
        for digest in chain:
            page = self._page.get(digest)
            if page is None:
                break
            found += 1
            idle += page in self._idle
        return found, idle

    def take(self) -> int:
        """A page of one's own, out of what was promised."""
        if self._free:
            page = self._free.pop()
        else:
            page, _ = self._idle.popitem(last=False)
            self._forget(page)
        self.promised -= 1
        self._users[page] = 1
        return page

    def find(self, digest: Digest) -> int | None:
        """The page with this beginning, one user more."""
        page = self._page.get(digest)
        if page is None:
            return None
        self._idle.pop(page, None)
        self._users[page] = self._users.get(page, 0) + 1
        return page

    def share(self, page: int) -> None:
        """One user more of a page in use, who was promised one of their own and needs it no more."""
        self._users[page] += 1
        self.promised -= 1

    def keep(self, page: int, digest: Digest) -> bool:
        """Let a page in use be found from now on; False if another one with this beginning is."""
        if digest in self._page:
            return False
        self._page[digest] = page
        self._digest[page] = digest
        return True

    def release(self, pages: Iterable[int], *, spoiled: bool = False) -> None:
        """One user less each. Those that can be found stay, unless they are spoiled."""
        for page in pages:
            if spoiled:
                self._forget(page)
                self.spoiled.add(page)
            self._users[page] -= 1
            if self._users[page]:
                continue
            del self._users[page]
            if page in self._digest:
                self._idle[page] = None
            else:
                self._free.append(page)

    def forget(self, pages: Iterable[int]) -> None:
        """Let these not be found any more: what they hold was never computed."""
        for page in pages:
            self._forget(page)

    def _forget(self, page: int) -> None:
        digest = self._digest.pop(page, None)
        if digest is not None:
            del self._page[digest]
        if page in self._idle:
            del self._idle[page]
            self._free.append(page)


def chain(ids: NDArray[np.int32]) -> list[Digest]:
    """One digest for the beginning up to each whole page."""
    out: list[Digest] = []
    so_far = b""
    for end in range(PAGE, len(ids) + 1, PAGE):
        so_far = hashlib.sha256(so_far + ids[end - PAGE : end].tobytes()).digest()
        out.append(so_far)
    return out
