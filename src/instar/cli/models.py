"""``instar models``: what can stand after ``model =``, and what is on this disk already."""

from __future__ import annotations

import json

from instar.app.storage.inventory import stock
from instar.cli.plain import aloud, plain


def list_models(*, as_json: bool, quiet: bool) -> None:
    """Names that can be given, and each converted model with its size."""
    found = stock()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    aloud("model = can be:")
    for name, about in found["names"].items():
        aloud(f"  {name:<24} {about}")
    aloud(f"converted, in {found['home']}:")
    for m in found["converted"]:
        state = (
            f"{m['bytes'] / 1e6:,.0f} MB, {m['architecture']}"
            if m["there"]
            else "its artefact is gone: made again when asked"
        )
        aloud(f"  {plain(m['model']):<24} {state}")
    if not found["converted"]:
        aloud("  nothing yet; a model is converted when a run first asks for it")
    if not quiet:
        size = found["policies_bytes"] / 1e9
        aloud(f"policies that runs made: {found['policies']} artefacts, {size:.1f} GB (instar gc)")
