"""A model folder, read once for all who use it: engines, trainer, export, and the check before a run.

Two libraries that read the same folder differently make two models of it: what is trained is then not what is examined.
So the folder is read here, and what is contradictory, incomplete or not understood is refused, in a sentence that says
what to do. Engines add only what they cannot express themselves.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from instar.errors import ModelError
from instar.model_folder import tokens
from instar.model_folder.files import Tensor, json_of, refuse_adapter, refuse_pointer, tensors_of
from instar.model_folder.llama import ARCHITECTURE, KIND, Llama, check_tensors, llama_of
from instar.model_folder.rope import LENGTH_DEPENDENT, Rope, ropes_of

POSITIONS = (
    "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "context_length", "n_ctx",
)  # fmt: skip
"""Under which name a config gives its number of positions, the usual one first (GPT-2 says n_positions)."""
_EMBEDS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_HEADS = ("lm_head.weight", "embed_out.weight")
_NUMBERS = ("F64", "F32", "F16", "BF16")
_LOOKED_AT = ("*.json", "*.safetensors", "*.jinja", "adapter_model.bin")
_KEPT = 32

_FOUND: OrderedDict[tuple[str, tuple[Any, ...]], ModelFolder] = OrderedDict()
_LOCK = Lock()


@dataclass(frozen=True)
class ModelFolder:
    """What a folder holds. Make it with ``read``."""

    folder: Path
    architecture: str
    """The class it names; "" where it names none."""
    kind: str
    """Its model_type."""
    context: int | None
    """Positions that can be used: prompt and reply together. None where the config names none."""
    tensors: Mapping[str, Tensor]
    rows: int | None
    """Rows of its embedding: the tokens it has. None where they cannot be told without its library."""
    tied: bool
    """Whether its head is its embedding, as the config says and the file bears out."""
    llama: Llama | None
    """Its numbers, if it is a Llama."""

    def refuse_adapter_on(self, targets: str | tuple[str, ...]) -> None:
        """Raises ModelError for a low-rank adapter on a head that is the embedding: merging changes the one matrix for
        both, so what is saved would not be what was trained."""
        held = [n for n in self.tensors if n.endswith((*_EMBEDS, *_HEADS))]
        shared = {n.removesuffix(".weight") for n in (*held, *_HEADS)}
        hit = sorted(n for n in shared if _chosen(n, targets))
        if self.tied and hit:
            raise tied_adapter(hit[0].rsplit(".", 1)[-1], self.folder)


def _chosen(module: str, targets: str | tuple[str, ...]) -> bool:
    """Whether peft would take this module: by the end of its name, or by an expression for all of it."""
    if not isinstance(targets, str):
        return any(module == t or module.endswith(f".{t}") for t in targets)
    try:
        return re.fullmatch(targets, module) is not None
    except re.error:
        return False  # peft says so


def tied_adapter(target: str, folder: Path) -> ModelError:
    """The refusal of an adapter on a shared matrix."""
    return ModelError(
        f"An adapter on {target} cannot be saved: in {folder} the head and the embedding are one matrix "
        "(tie_word_embeddings), and merging the adapter would change both.",
        'Leave it out of lora.target_modules ("all-linear" does), or train all weights (lora=none).',
    )


def read(folder: Path) -> ModelFolder:
    """Read a folder and check it; kept for the next call until one of its files changes.

    Raises ModelError for whatever is missing, damaged, contradictory or not understood, for every engine alike.
    """
    folder = Path(folder).resolve()
    paths = sorted({p for pattern in _LOOKED_AT for p in folder.glob(pattern)})
    stamps = tuple((p.name, (s := p.stat()).st_mtime_ns, s.st_size, s.st_ino) for p in paths if p.exists())
    key = (folder.as_posix(), stamps)
    with _LOCK:
        if key not in _FOUND:
            _FOUND[key] = _read(folder)
            if len(_FOUND) > _KEPT:
                _FOUND.popitem(last=False)
        return _FOUND[key]


def plain_llama(folder: Path) -> Llama:
    """The numbers of a folder that an engine with a graph of its own can express: a Llama without biases, with plain
    rope and silu. Raises ModelError naming what is not."""
    found = read(folder)
    if found.llama is None:
        raise ModelError(
            f"The native and openvino engines cannot run {found.architecture or found.kind} ({folder}): they run "
            f"{ARCHITECTURE}.",
            "Use engine=transformers, or a Llama-type model such as smollm2-135m.",
        )
    odd = found.llama.cannot_express()
    if not any(name.startswith("model.") for name in found.tensors):
        odd.append("tensors without the prefix model.")
    if odd:
        raise ModelError(
            f"The model in {folder} has {', '.join(odd)}, which the native and openvino engines cannot express.",
            "Use engine=transformers.",
        )
    return found.llama


def admit(folder: Path) -> ModelFolder:
    """Read and check a folder that a user brings: besides ``read``, every word of its tokenizer must have a row."""
    found = read(folder)
    refuse_pointer(folder / "tokenizer.json")
    if found.rows is not None and (folder / "tokenizer.json").is_file():
        tokens.check_all(folder, found.rows)
    return found


def context_of(config: Mapping[str, Any]) -> int | None:
    """Positions that a model of this config can use, prompt and reply together; None where it names none.

    Where the angles depend on the longest text of a batch (longrope, dynamic), only those up to the original length,
    where they do not: a reply must not depend on who shares the batch, nor training on how rows are laid together.
    """
    text = text_config(config)
    found = [v for k in POSITIONS if isinstance(v := text.get(k), int) and not isinstance(v, bool) and v > 0][:1]
    try:
        ropes = ropes_of(text, Path("config.json"))
    except ModelError:
        ropes = ()  # said by ``read``, with the path
    found += [r.original for r in ropes if r.type in LENGTH_DEPENDENT and r.original]
    return min(found, default=None)


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model: models of several senses keep it in a table."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def _read(folder: Path) -> ModelFolder:
    path = folder / "config.json"
    config = json_of(path)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        refuse_pointer(folder / name)
    refuse_adapter(folder)
    text = text_config(config)
    if config.get("quantization_config") or text.get("quantization_config"):
        raise ModelError(
            f"The weights in {folder} are quantised (config.json has a quantization_config): they can be neither "
            "trained nor run in full precision.",
            "Take the model they were made from, or dequantise it: load it with transformers, model.dequantize(), "
            "remove quantization_config, save_pretrained.",
        )
    kind, named = config.get("model_type"), config.get("architectures") or [""]
    if not isinstance(kind, str) or not kind:
        raise ModelError(f"{path} names no model_type.", 'Add it, such as "model_type": "llama", or copy it again.')
    if not isinstance(named, list) or not all(isinstance(n, str) for n in named):
        raise ModelError(f"{path} says architectures = {named!r}.", "It is a list of one class's name.")
    if kind == "falcon" and text.get("alibi"):
        raise ModelError(
            f"{path} says alibi = true: transformers' own two ways to compute a Falcon's attention (eager "
            "and sdpa) then differ, by 0.9 nats in a small one, so nobody can say what this model is.",
            "Take a Falcon with rotary positions (alibi false), or another model.",
        )
    tensors = tensors_of(folder)
    _check_types(tensors, folder)
    ropes = ropes_of(text, path)
    llama = _llama(named[0], kind, config, ropes[0], path)
    if llama is not None:
        check_tensors(llama, tensors, folder)
    rows = _rows(text, tensors)
    tied = _tied(config, text, tensors, folder)
    if rows is not None:
        tokens.check_added(folder, rows, text)
    for name, tensor in tensors.items():
        if not tensor.finite():
            raise ModelError(
                f"The weights {name} in {folder} are not all finite.",
                "The training that made them diverged, or the file is damaged: take an earlier one, or copy it again.",
            )
    return ModelFolder(folder, named[0], kind, context_of(config), tensors, rows, tied, llama)


def _llama(named: str, kind: str, config: Mapping[str, Any], rope: Rope, path: Path) -> Llama | None:
    if (named == ARCHITECTURE) != (kind == KIND) and named:
        raise ModelError(
            f"{path} names the class {named} and the model_type {kind!r}, which do not belong together: libraries go "
            "by one or the other.",
            f"Give both of one model ({ARCHITECTURE} with {KIND!r}).",
        )
    return llama_of(config, rope, path) if kind == KIND else None


def _check_types(tensors: Mapping[str, Tensor], folder: Path) -> None:
    for name, tensor in tensors.items():
        if name.endswith((".weight", ".bias")) and tensor.dtype not in _NUMBERS:
            raise ModelError(
                f"{name} in {folder} is of type {tensor.dtype}: weights here are F32, F16, BF16 or F64.",
                "Take the model that was not quantised, or convert it.",
            )


def _rows(text: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int | None:
    table = _only(tensors, _EMBEDS)
    said = text.get("vocab_size")
    known = [table.shape[0]] if table and len(table.shape) == 2 else []
    known += [said] if isinstance(said, int) and said > 0 else []
    return min(known, default=None)


def _tied(config: Mapping[str, Any], text: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path) -> bool:
    said = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    head, table = _only(tensors, _HEADS), _only(tensors, _EMBEDS)
    if head is None:
        return True
    if said and table is not None and not _equal(head, table):
        raise refuse_own_head(head.name, table.name, folder)
    return bool(said)


def refuse_own_head(head: str, table: str, folder: Path) -> ModelError:
    """The refusal of a folder whose config and file say different things of the head."""
    return ModelError(
        f"config.json of {folder} says that head and embedding are one matrix (tie_word_embeddings), but its weights "
        f"hold a {head} that differs from {table}: libraries take one or the other.",
        f'If the head is its own, put "tie_word_embeddings": false into config.json; if not, remove {head} from the '
        "weights.",
    )


def _equal(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    x, y, step = a.values(), b.values(), max(1, (1 << 24) // max(1, a.shape[-1]))
    return all(np.array_equal(x[i : i + step], y[i : i + step]) for i in range(0, len(x), step))


def _only(tensors: Mapping[str, Tensor], ends: tuple[str, ...]) -> Tensor | None:
    found = [t for n, t in tensors.items() if n.endswith(ends)]
    return found[0] if len(found) == 1 else None
