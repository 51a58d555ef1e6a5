"""``instar models``: what can stand after ``model =``, and what is on this disk already."""

from __future__ import annotations

import json

from instar.app.stock import stock
from instar.cli.plain import plain


def list_models(*, as_json: bool, quiet: bool) -> None:
    """Names that can be given, and each converted model with its size."""
    found = stock()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print("model = can be:")
    for name, about in found["names"].items():
        print(f"  {name:<24} {about}")
    print(f"converted, in {found['home']}:")
    for m in found["converted"]:
        state = (
            f"{m['bytes'] / 1e6:,.0f} MB, {m['architecture']}"
            if m["there"]
            else "its artefact is gone: made again when asked"
        )
        print(f"  {plain(m['model']):<24} {state}")
    if not found["converted"]:
        print("  nothing yet; a model is converted when a run first asks for it")
    if not quiet:
        size = found["policies_bytes"] / 1e9
        print(f"policies that runs made: {found['policies']} artefacts, {size:.1f} GB (instar gc)")
