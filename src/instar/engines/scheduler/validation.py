"""What every engine checks before it answers."""

from __future__ import annotations

from collections.abc import Sequence

from instar.errors import EngineError
from instar.records import Message, Policy


def check_ask(policy: Policy, messages: Sequence[Message], n: int) -> None:
    """Refuse what no engine can answer. Raises EngineError (not transient)."""
    if not policy.id:
        raise EngineError("The policy has no id, so its replies could not be told apart.", "Use policy.identified().")
    if n < 1:
        raise EngineError(f"n is {n}: an ask wants at least 1 reply.", "Set n to 1 or more.")
    if not any(m.content.strip() for m in messages):
        what = "no messages" if not messages else f"{len(messages)} message(s), all blank"
        raise EngineError(f"The prompt is empty: {what}.", "Look at the task that was asked.")


def check_context(prompt_tokens: int, max_tokens: int, context: int, unit: str = "tokens") -> None:
    """Refuse a prompt that, with the reply asked for, does not fit. Raises EngineError (not transient)."""
    if prompt_tokens + max_tokens > context:
        raise EngineError(
            f"The prompt has {prompt_tokens} {unit} and max_tokens is {max_tokens}: together "
            f"{prompt_tokens + max_tokens}, but the model's context is {context}.",
            "Shorten the prompt or lower max_tokens.",
        )


def not_numbers() -> EngineError:
    """The error of a request whose logits are not numbers."""
    return EngineError(
        "The model's logits are not numbers: its weights hold NaN or overflow at this precision.",
        "Use f32 (engine_options.sample_precision), or look at the training that made these weights.",
    )
