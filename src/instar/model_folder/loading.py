"""A folder opened with transformers, for asking and for training alike, and held against what the folder says.

transformers fills what is missing with random numbers, passes over what it does not know, and unties a head, all with a
warning at most: here each is a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instar.errors import ModelError
from instar.model_folder.files import json_of
from instar.model_folder.folder import ModelFolder, read, refuse_own_head


def load(folder: Path, dtype: Any, *, trust_remote_code: bool = False) -> Any:
    """The model of a folder, on the CPU, its weights as ``dtype``. Raises ModelError as ``read`` does, and for a class
    that transformers does not know, or that does not fit the weights."""
    from transformers import AutoModelForCausalLM

    found = read(folder)
    own_code = bool(json_of(folder / "config.json").get("auto_map"))
    if own_code and not trust_remote_code:
        _refuse_own_code(found)
    try:
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,  # a pickle could run code
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except Exception as e:  # transformers raises many kinds, and safetensors its own
        raise ModelError(
            f"transformers cannot load the model in {folder}: {type(e).__name__}: {str(e)[:400]}.",
            "Check the folder: config.json must name a causal model, and its *.safetensors must be whole.",
        ) from e
    _check_keys(info, folder)
    if not own_code:
        _check_class(found, type(model).__name__)
    _check_head(model, found)
    return model


def _check_keys(info: dict[str, Any], folder: Path) -> None:
    missing, more = sorted(info.get("missing_keys") or ()), sorted(info.get("unexpected_keys") or ())
    if missing:
        raise ModelError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors ({', '.join(missing[:3])}).",
            "Save the whole model, with adapters merged, by save_pretrained.",
        )
    if more:
        raise ModelError(
            f"The weights in {folder} hold {len(more)} tensors that are no part of the model its config.json describes "
            f"({', '.join(more[:3])}).",
            "Config and weights are of two models, or an adapter is not merged: save both together by save_pretrained.",
        )
    if info.get("mismatched_keys") or info.get("error_msgs"):
        raise ModelError(f"The weights in {folder} do not fit its config.json.", "Copy the model folder again.")


def _check_class(found: ModelFolder, loaded: str) -> None:
    """A class that is named and another one that is run differ in their head at least."""
    named, body = found.architecture.lower(), loaded.removesuffix("ForCausalLM").removesuffix("LMHeadModel")
    if named and named not in (loaded.lower(), f"{body}model".lower()):
        raise ModelError(
            f"{found.folder / 'config.json'} names the class {found.architecture}; as a language model transformers "
            f"runs {loaded} for the model_type {found.kind!r}.",
            f'If it is a language model, put "architectures": ["{loaded}"] into config.json.',
        )


def _check_head(model: Any, found: ModelFolder) -> None:
    """The classes know which matrices are one; where the file held both and they differed, they were not made one."""
    if not model.config.get_text_config(decoder=True).tie_word_embeddings:
        return
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or table is None or head.weight is table.weight:
        return
    names = {id(p): n for n, p in model.named_parameters(remove_duplicate=False)}
    raise refuse_own_head(
        names.get(id(head.weight), "a head"), names.get(id(table.weight), "the embedding"), found.folder
    )


def _refuse_own_code(found: ModelFolder) -> None:
    """A model that brings code is run by transformers' own class where there is one, and refused where there is not."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if found.kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"The model in {found.folder} ({found.kind!r}) brings Python code of its own, which is not run.",
            "If you have read that code and trust it: --set engine_options.trust_remote_code=true",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """transformers draws progress bars over ours, and reports in tables what we say in a sentence."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
