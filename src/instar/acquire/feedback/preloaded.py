"""Imported once in the fork server of the checking processes: reasoning-gym, without what none of them needs."""

from __future__ import annotations

from instar import lazily

lazily.reasoning_gym()
