"""The key to a server: read from the environment, sent in one header, shown and stored nowhere."""

from __future__ import annotations

import os
import re

from instar.engines.remote.address import Address
from instar.errors import ModelError

VARIABLE = "OPENAI_API_KEY"
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_SHOWN = "(the key)"
LIKELY_A_WORD = 12
"""Characters of a key below which it may stand in a text by chance ("EMPTY" is given to servers that want none)."""


def check_variable(name: str) -> None:
    """Raises ModelError for what is not the name of an environment variable. It is not shown: it may be a key."""
    if name and not _NAME.fullmatch(name):
        raise ModelError(
            "openai.key is not the name of an environment variable (capitals, digits, _).",
            "It names the variable that holds the key; never write the key itself into a config.",
        )


class Key:
    """What an environment variable holds, if anything."""

    def __init__(self, variable: str) -> None:
        check_variable(variable)
        self.variable = variable

    def __repr__(self) -> str:
        return f"Key({self.variable!r})"

    def _value(self) -> str:
        return os.environ.get(self.variable, "").strip() if self.variable else ""

    def headers(self, address: Address, *, plain_http: bool) -> dict[str, str]:
        """The header that carries it; none where there is none.

        Raises ModelError where the config names a variable that is not set, for a value that fits in no header, and
        where it would travel a network in the clear.
        """
        value = self._value()
        if not value:
            if self.variable not in ("", VARIABLE):
                raise ModelError(
                    f"openai.key names the environment variable {self.variable}, which is not set.", "Set it."
                )
            return {}
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise ModelError(f"the value of {self.variable} holds characters that no key has.", "Set it anew.")
        if address.base_url.startswith("http://") and not address.on_this_machine and not plain_http:
            raise ModelError(
                f"the key in {self.variable} would go to {address.base_url} unencrypted.",
                'Use https://; or send none with openai.key = ""; or, where you trust the network, '
                "openai.plain_http = true.",
            )
        return {"Authorization": f"Bearer {value}"}

    def out_of(self, text: str, *, shortest: int = 4) -> str:
        """A server's words without the key, which it may say back."""
        value = self._value()
        return text.replace(value, _SHOWN) if len(value) >= shortest else text
