"""What openvino is asked for a request: its settings, the cache it can come to need, and prompts that are scored."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

from instar.engines.scheduler.request import Request
from instar.engines.scheduler.validation import not_numbers
from instar.errors import EngineError
from instar.records import Sampling


@dataclass(eq=False)
class Scored(Request):
    """A prompt of which the last ``wanted`` tokens are scored: its answer is empty, and ``found`` is filled."""

    wanted: int = 0
    found: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, ids: list[int], answer: list[int], loop: asyncio.AbstractEventLoop) -> Scored:
        """An answer after the ``ids`` of its prompt."""
        how = Sampling(temperature=0.0, max_tokens=1)
        return cls([*ids, *answer], 1, how, 0, loop, loop.create_future(), wanted=len(answer))

    def read(self, values: list[float]) -> None:
        """openvino's log-probabilities: one a token of the prompt (the first has none), one for the token it says. Of
        what it found in its cache there is none. Raises EngineError then."""
        if len(values) != len(self.ids) + 1:
            raise EngineError(
                f"openvino scored {len(values) - 1} of {len(self.ids)} tokens.", "Ask again.", transient=True
            )
        self.found = values[len(self.ids) - self.wanted : len(self.ids)]
        if not all(map(math.isfinite, self.found)):
            raise not_numbers()


def cache_need(request: Request) -> int:
    """Cached tokens a request can come to need: the prompt once, each reply at full length, a block's rounding."""
    return len(request.ids) + request.n * (request.sampling.max_tokens + 32)


def generation(request: Request, stop_ids: tuple[int, ...]) -> Any:
    """openvino's own settings for a request."""
    import openvino_genai as genai

    config, sampling = genai.GenerationConfig(), request.sampling
    config.max_new_tokens = sampling.max_tokens
    config.eos_token_id = stop_ids[0]
    config.stop_token_ids = set(stop_ids)
    config.do_sample = sampling.temperature > 0
    config.echo = isinstance(request, Scored)
    config.logprobs = int(config.echo)
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        if sampling.top_k is not None:
            config.top_k = sampling.top_k
        config.rng_seed = request.seed
        config.num_return_sequences = request.n
    return config
