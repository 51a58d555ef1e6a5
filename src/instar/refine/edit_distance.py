"""Edit distance (Levenshtein): how many characters must be put in, taken out or exchanged to make one text another."""

from __future__ import annotations

LONGEST = 2_000
"""Characters of a text that are compared, from its beginning: the work grows with the product of both lengths."""


def edit_distance(a: str, b: str) -> int:
    """The distance between the first ``LONGEST`` characters of two texts.

    Myers' bit-parallel method in the form of Hyyrö (2003): a column of the table is two whole numbers of ``len(a)``
    bits, so that Python takes one round a character of ``b`` instead of ``len(a)``.
    """
    a, b = a[:LONGEST], b[:LONGEST]
    if a == b or not a or not b:
        return 0 if a == b else len(a) or len(b)
    places: dict[str, int] = {}
    for i, character in enumerate(a):
        places[character] = places.get(character, 0) | 1 << i
    full, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    up, down, distance = full, 0, len(a)  # vertical steps of +1 and of -1 in the present column
    for character in b:
        equal = places.get(character, 0)
        vertical = equal | down
        horizontal = (((equal & up) + up) ^ up) | equal
        more = down | (~(horizontal | up) & full)
        less = up & horizontal
        distance += bool(more & last) - bool(less & last)
        more, less = (more << 1 | 1) & full, less << 1 & full
        up = less | (~(vertical | more) & full)
        down = more & vertical
    return distance
