"""Who learned from what is taken out, and must be made anew."""

from __future__ import annotations

from collections.abc import Mapping

from instar.cli.plain import aloud


def tell_policies(retrain: Mapping[str, str], shows: Mapping[str, str], nobody: str) -> None:
    """Print the policies whose weights learned from it (id to role) and those that show it (id to how); ``nobody`` is
    said where no weights learned from it."""
    for id, role in retrain.items():
        aloud(f"must be retrained: the policy {id} ({role}) learned from it")
    if retrain:
        aloud("and so must be what was exported of them, which nobody keeps a list of: instar export writes copies")
    else:
        aloud(nobody)
    for id, how in shows.items():
        aloud(f"must be made anew, in a run without it: the policy {id} {how}; that stays here and in the store")
