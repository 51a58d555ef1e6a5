"""What the fork server of the checking processes imports once, for all of them."""

from __future__ import annotations

import math_verify  # noqa: F401 - a checker's, imported when it is first used: too late in a worker that is counted

from instar import lazily
from instar.acquire.feedback import checkers  # noqa: F401 - what the workers are asked to run
from instar.acquire.tasks import reasoning_gym  # noqa: F401 - makes a task's item again

lazily.reasoning_gym()
