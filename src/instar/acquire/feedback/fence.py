"""Marks around text that somebody else wrote: ``instar.fence``, under the name that judges know it by."""

from __future__ import annotations

from instar.fence import LONGEST, WARNING, fenced, mark_for, neutral, plain

__all__ = ["LONGEST", "WARNING", "fenced", "mark_for", "neutral", "plain"]
