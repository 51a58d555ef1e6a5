"""Which model of which server a name means: ``openai:MODEL@https://host/v1``, checked before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from instar.errors import ModelError
from instar.legible import why_not
from instar.records import Policy, Weights, hash_of

PREFIX = "openai:"
FORM = "openai:MODEL@https://HOST/v1"
_FORM = re.compile(r"openai:(?P<model>.+?)@(?P<url>https?://.*)", re.DOTALL | re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
LONGEST = 2_000
"""Characters of a model's name or of a URL."""


@dataclass(frozen=True)
class Address:
    """A model on a server. Two spellings of one server are one address, so its policy has one id."""

    model: str
    base_url: str

    @property
    def name(self) -> str:
        """As a config and a policy have it: it holds no secret."""
        return f"{PREFIX}{self.model}@{self.base_url}"

    @property
    def on_this_machine(self) -> bool:
        """Whether what is sent there never leaves the machine."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    def weights(self) -> Weights:
        """What stands for the model's weights. The server may change them behind its name: nobody can know."""
        return Weights(place="remote", digest=hash_of("remote-weights", self.base_url, self.model), name=self.name)


def is_remote(name: str) -> bool:
    """Whether a model's name is meant to be one of a server's."""
    return name.startswith(PREFIX)


def address_of(name: str) -> Address:
    """The address that a model's name stands for.

    Raises ModelError for one of another form, and for a URL that holds a user, a password or a query: a key has no
    place in a config. Nothing behind the @ is shown, for it might be one.
    """
    form = f"It has the form {FORM}."
    if (found := _FORM.fullmatch(name)) is None:
        raise ModelError(
            "the name of a model on a server cannot be read: there is no @http:// or @https:// in it.", form
        )
    model, url = found["model"], found["url"].strip()
    about = f"the server of the model {model[:100]!r}"
    if why_not(name) or len(name) > LONGEST or not model.strip() or re.search(r"[\x00-\x20\x7f]", model + url):
        raise ModelError(f"{about}: its name or URL is blank, too long, or holds blanks or control characters.", form)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ModelError(f"{about} has no URL that can be read.", form) from None
    if "@" in parts.netloc:
        raise ModelError(
            f"{about} has a user or a password in its URL, which would be stored with the run.",
            "Put the key into an environment variable, OPENAI_API_KEY or the one that openai.key names.",
        )
    if "?" in url or "#" in url:
        raise ModelError(f"{about} has a query or a fragment in its URL; neither is sent.", form)
    if not host:
        raise ModelError(f"{about} has no host in its URL.", form)
    scheme = parts.scheme.lower()
    shown = f"[{host}]" if ":" in host else host
    at = "" if port is None or port == _PORTS[scheme] else f":{port}"
    return Address(model, f"{scheme}://{shown}{at}{parts.path.rstrip('/')}")


def address_of_policy(policy: Policy) -> Address:
    """Where a policy's model is asked. Raises ModelError for a policy that is of no server."""
    if policy.weights.place != "remote":
        raise ModelError(
            f"The openai engine cannot answer for {policy.weights.name or policy.id}: its weights are of place "
            f"{policy.weights.place!r}, not on a server.",
            f"Name a model as {FORM}, or use another engine.",
        )
    address = address_of(policy.weights.name)
    if address.weights().digest != policy.weights.digest:
        raise ModelError(f"The policy {policy.id} is of another server than {address.name}.", "Look at its record.")
    if policy.weights.adapter is not None:
        raise ModelError(f"The policy {policy.id} has an adapter, and a server has its own weights.", "Leave it out.")
    return address
