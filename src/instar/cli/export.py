"""``instar export``: a policy for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instar import __version__
from instar.app.configs.run_config import RunConfig
from instar.app.configs.shots import shown_by
from instar.app.review.examine import suite_of_run
from instar.app.storage.paths import run_folder
from instar.app.weights.export import to_adapter, to_folder, to_gguf
from instar.app.weights.policies import find
from instar.cli.plain import aloud
from instar.errors import ConfigError
from instar.records import in_words
from instar.records.policy import prompted
from instar.report.card import card
from instar.run.progress import Screen


def export_items(said: str, out: Path, *, other: Path | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Write a run's sealed tasks: each with its prompt as the base was shown it (shots included; calls of tools in
    words, as a template without tools renders them), its gold answer and what its checker reads. ``instar evaluate
    --on`` that file asks the same again."""
    if other is not None:
        raise ConfigError("--items is an export of its own.", "Give it without a folder and without --gguf.")
    if out.suffix != ".jsonl":
        raise ConfigError(f"{out} is no .jsonl file.", "For example: instar export demo-1 --items sealed.jsonl")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already.", "Give another name, or --force to replace it.")
    suite = suite_of_run(run_folder(said.partition(":")[0]))
    lines = []
    for task in suite.tasks:
        shown = prompted(suite.config.system, shown_by(suite.config.shots), task)
        prompt = [{"role": m.role.value, "content": m.content} for m in in_words(shown)]
        row = {**task.private, "prompt": prompt, "question": task.question, "ability": task.ability, "task": task.id}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    out.write_text("".join(lines), "utf-8")
    if as_json:
        print(json.dumps({"run": said, "items": len(lines), "file": str(out)}, indent=1))
    elif not quiet:
        aloud(f"{suite.about} written to {out}: instar evaluate POLICY --on {out} asks them again")


def export_policy(
    said: str, out: Path | None, *, gguf: Path | None, gguf_type: str, adapter: bool, role: str | None = None,
    force: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write one policy in one form, and say what was written."""
    if (out is None) == (gguf is None):
        raise ConfigError("say where to: either a folder or --gguf FILE.", "For example: instar export demo-1 my-model")
    if gguf is not None and adapter:
        raise ConfigError("--gguf and --adapter are two different exports.", "Give one of them.")
    if role is not None and not adapter:
        raise ConfigError("--role names one of a policy's adapters.", f"Add --adapter: --adapter --role {role}")
    screen = Screen("silent" if quiet else "auto")
    found = find(said, system=RunConfig(recipe="rest_em").system, say=screen.line)
    told: dict[str, Any] = {"policy": found.policy.id, "title": found.title}
    if gguf is not None:
        size = to_gguf(found, gguf, gguf_type, force=force)
        told |= {"gguf": str(gguf), "type": gguf_type, "bytes": size}
        line = f"{found.title} written to {gguf} ({gguf_type}, {size / 1e6:.0f} MB): llama-cli -m {gguf}"
    else:
        assert out is not None
        text = card(found.policy, found.run, version=__version__, adapter=adapter)
        if adapter:
            files = to_adapter(found, out, text, force=force, role=role)
        else:
            files = to_folder(found, out, text, force=force)
        told |= {"folder": str(out), "files": files}
        line = f"{found.title} written to {out}: {', '.join(told['files'])}"
    if as_json:
        print(json.dumps(told, indent=1))
    elif not quiet:
        aloud(line)
