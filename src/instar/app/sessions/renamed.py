"""Sources of operators and recipes in which names or texts alone were changed since: runs made with them go on."""

from __future__ import annotations

RENAMED = frozenset(
    {
        # the main of 2026-11-27, before clip, recompute, tokens_at_once, shop and practice had the names they have now
        "13eb22c68536f9b33828f6c90014ad28",  # sft
        "3133a3ef0bed2d41101d74594008bc0c",  # adapter_sft
        "c1abdee4c4fb1ee5ea28ac63fbed2887",  # grpo, the update
        "598ae412e1ff1fc19f9c6fcc9315c093",  # grpo, the recipe
        # the main of 2026-11-29, when a class variable said that not every engine puts adapters on
        "b95068c6fd7bc0a846751e9567b1e196",  # adapter_sft
        # the same day's, before the text that explains it said how many tokens go through the model at once
        "03fbd417715685b82675c67a8a8fecfd",  # sft
        # and before a doctor could say aloud what it thinks of; one who does not says what it said
        "0ed66c8c280672e4b8990af3d3639e8e",  # clinic
        "ff8337bf76d29608d5edda144a77c6e9",  # static_consultation
    }
)
"""Source digests. An operator that does something else one day has another version, so another id, and is none of
these."""
