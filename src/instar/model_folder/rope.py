"""How a model turns positions into angles, out of the several ways in which a config.json can say it.

``rope_parameters`` is how transformers 5 writes it, ``rope_scaling`` with ``rope_theta`` beside it how all before did;
some configs hold both, since model cards tell people to add ``rope_scaling``. Libraries then pick one or the other:
where the two do not say the same, the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.errors import ModelError

THETA = 10000.0
"""Of a config that names none, as in transformers."""
OLD_NAMES = {"su": "longrope"}
LENGTH_DEPENDENT = ("longrope", "dynamic")
"""Their angles depend on the longest text of a batch once it passes the original length. Up to there they do not."""
_BESIDE = ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings")


@dataclass(frozen=True)
class Rope:
    """One kind of rotary positions."""

    type: str = "default"
    theta: float = THETA
    partial: float = 1.0
    """The share of a head that is turned."""
    original: int | None = None
    """Positions the model was made with, where it was stretched afterwards."""

    @property
    def plain(self) -> bool:
        """Whether it is a Llama's of old: all of a head turned, by steps that fall geometrically."""
        return self.type == "default" and self.partial == 1


def ropes_of(config: Mapping[str, Any], path: Path) -> tuple[Rope, ...]:
    """All kinds of rope that a config names (models with several kinds of layers have several); the default one where
    it names none. Raises ModelError where the config contradicts itself."""
    given = [(key, config[key]) for key in ("rope_parameters", "rope_scaling") if config.get(key)]
    for key, value in given:
        if not isinstance(value, Mapping):
            raise ModelError(f"{path} says {key} = {value!r}, which is no table.", "Mend the config.")
    if not given:
        return (_rope("", {}, config, path),)
    said = [(key, [(name, _told(name, part, config, path)) for name, part in _parts(value)]) for key, value in given]
    if len(said) == 2 and said[0][1] != said[1][1]:
        raise ModelError(
            f"{path} says how positions turn in two ways that differ: rope_parameters = {given[0][1]}, rope_scaling = "
            f"{given[1][1]}.",
            "Remove the one you do not mean. To stretch a model, change rope_parameters: transformers 5 writes it.",
        )
    return tuple(_rope(name, part, config, path) for name, part in _parts(given[0][1]))


def _parts(value: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """One table for each kind of layer that is named; the table itself where none is."""
    named = [(name, part) for name, part in value.items() if isinstance(part, Mapping)]
    return named or [("", value)]


def _told(name: str, part: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a table says, in one spelling, with what stands beside it."""
    out = {k: v for k, v in part.items() if k not in ("type", "rope_type") and v is not None}
    types = [_renamed(part[k]) for k in ("rope_type", "type") if part.get(k) is not None]
    if len(set(types)) > 1:
        raise ModelError(f"{path} names two types of rope, {' and '.join(types)}.", "Remove the one you do not mean.")
    out["rope_type"] = types[0] if types else "default"
    for key in _BESIDE:
        if key not in config or config[key] is None:
            continue
        if not name and key in out and out[key] != config[key]:  # kinds of layers differ among each other
            raise ModelError(
                f"{path} names {key} twice and differently: {out[key]} with the rope, {config[key]} beside it.",
                "Remove the one you do not mean.",
            )
        out.setdefault(key, config[key])
    out.setdefault("rope_theta", THETA)
    return out


def _rope(name: str, part: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> Rope:
    told = _told(name, part, config, path)
    original = told.get("original_max_position_embeddings")
    try:
        theta, partial = float(told["rope_theta"]), float(told.get("partial_rotary_factor", 1.0))
        if not (theta > 0 and 0 < partial <= 1):
            raise ValueError
        made = Rope(str(told["rope_type"]), theta, partial, None if original is None else int(original))
    except (TypeError, ValueError):
        raise ModelError(f"{path} holds numbers that no rope can have: {told}.", "Mend the config.") from None
    return made


def _renamed(name: Any) -> str:
    return OLD_NAMES.get(str(name), str(name))
