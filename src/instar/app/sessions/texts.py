"""The guard of texts of a run: which texts, and the figures that it ends with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from instar.acquire.tasks.guard_texts import texts
from instar.app.configs.run_config import RunConfig
from instar.app.configs.suites import TEXT
from instar.divergence import perplexity, rise, why_not_comparable
from instar.errors import StoreError
from instar.records import Likelihood, Policy
from instar.run.likelihoods import Texts
from instar.run.run import Run


def texts_of(cfg: RunConfig) -> Texts | None:
    """The texts that a run's candidates are held to; None where it has no budget of them."""
    return None if cfg.text_budget is None else Texts(TEXT, cfg.text_budget, texts())


async def read_at_last(run: Run, final: Policy) -> dict[str, Any]:
    """Base and result on the texts that nothing was decided by."""
    before = await run.read(run.base)
    after = before if final.id == run.base.id else await run.read(final)
    assert run.texts is not None  # who asks has looked
    return figures(before, after, getattr(run.texts.op, "margin", 0.0))


def figures(before: Likelihood, after: Likelihood, margin: float) -> dict[str, Any]:
    """By how much the perplexity rose, as a share, with the 95 % interval. Raises StoreError for likelihoods that
    cannot be compared."""
    if why := why_not_comparable(before, after):
        raise StoreError(f"the texts read at the end cannot be compared: {why}")
    found = rise(before, after)
    return {
        "name": before.suite, "base": perplexity(before.texts), "final": perplexity(after.texts),
        "rise": found.value, "low": found.low, "high": found.high, "n": found.n, "margin": margin,
        "tokens": sum(t.tokens for t in before.texts),
    }  # fmt: skip


def derived(result: Mapping[str, Any], found: Sequence[Likelihood], margin: float) -> Iterator[Any]:
    """The figures that stored likelihoods give, one for each part of the texts that both policies were read on."""
    for before in found:
        for after in found:
            same = before.policy == result["base"] and after.policy == result["final"] and before.suite == TEXT
            if same and not why_not_comparable(before, after):
                yield json.loads(json.dumps(figures(before, after, margin)))
