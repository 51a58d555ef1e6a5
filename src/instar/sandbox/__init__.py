"""Run untrusted code: bounded in everything it uses, cut off from everything else, gone afterwards."""

from instar.sandbox.limits import Hit, Limits, Outcome
from instar.sandbox.room import Sandbox, open_sandbox

__all__ = ["Hit", "Limits", "Outcome", "Sandbox", "open_sandbox"]
