"""A Llama as its folder describes it: the numbers that make the computation, read once, for every engine alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.errors import ModelError
from instar.model_folder.files import Tensor
from instar.model_folder.rope import Rope

ARCHITECTURE, KIND = "LlamaForCausalLM", "llama"
BLOCK = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
    "mlp.down_proj", "input_layernorm", "post_attention_layernorm",
)  # fmt: skip
EMBED, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
_SILU = ("silu", "swish")

READ = {
    "architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps", "hidden_act",
    "tie_word_embeddings", "rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor",
    "original_max_position_embeddings", "attention_bias", "mlp_bias",
}  # fmt: skip
"""What of a config is read here or in ``rope``."""
HARMLESS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "transformers_version", "dtype",
    "torch_dtype", "use_cache", "initializer_range", "attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop",
    "pretraining_tp", "tokenizer_class", "is_llama_config", "transformers.js_config", "auto_map", "max_length",
    "min_length", "temperature", "top_p", "top_k", "do_sample", "repetition_penalty", "return_dict", "id2label",
    "label2id", "problem_type", "task_specific_params", "finetuning_task", "attn_implementation", "output_attentions",
    "output_hidden_states", "chunk_size_feed_forward", "is_decoder", "prefix", "license", "name", "training_args",
    "max_window_layers", "model_max_length", "tokenizer_model_max_length",
    "tokenizer_padding_side", "num_return_sequences", "num_beams", "bad_words_ids", "torchscript",
}  # fmt: skip
"""What cannot change what a trained Llama computes: names, how it is sampled, how it was trained or stored.
``pretraining_tp`` cuts the same products in parts; ``max_window_layers`` counts only beside a window (``_OFF``)."""
_MARKS = ("_", "unsloth", "transformers.")
_OFF = {
    "rope_interleaved": (False,), "sliding_window": (), "use_sliding_window": (False,), "use_qk_norm": (False,),
    "qk_layernorm": (False,), "logits_scaling": (1,), "logit_scale": (1,), "embedding_multiplier": (1,),
    "residual_multiplier": (1,), "attention_multiplier": (), "final_logit_softcapping": (),
    "attn_logit_softcapping": (), "query_pre_attn_scalar": (), "num_local_experts": (0, 1), "num_experts": (0, 1),
    "no_rope_layers": (), "no_rope_layer_interval": (0,), "attention_chunk_size": (), "layer_types": (),
    "attention_sinks": (False,), "scale_embeddings": (False,), "scale_emb": (1,), "clip_qkv": (),
    "use_logn_attn": (False,), "use_dynamic_ntk": (False,), "parallel_attn": (False,), "alibi": (False,),
    "attention_out_bias": (False,), "qkv_bias": (False,), "add_bias_linear": (False,), "norm_type": ("rmsnorm",),
    "causal": (True,), "is_causal": (True,), "use_bidirectional_attention": (False,), "cross_attention": (False,),
    "add_cross_attention": (False,), "is_encoder_decoder": (False,), "alpha": (),
}  # fmt: skip
"""Settings of other models that a Llama's class passes over without a word, and the values at which they say nothing.
A config that has one means another computation than any library here would make."""


@dataclass(frozen=True)
class Llama:
    """What the forward pass of a Llama needs to know, normalised: nothing is left to be defaulted by who reads it."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocab: int
    context: int
    tied: bool
    eps: float
    rope: Rope
    biases: bool
    activation: str
    unknown: tuple[str, ...]
    """Keys of the config that are not known here: transformers passes over them, and may be right."""

    def cannot_express(self) -> list[str]:
        """What it has that a Llama of old has not (biases, other ropes): engines with a graph of their own lack it."""
        return [
            text
            for wrong, text in (
                (self.biases, "biases"),
                (self.rope.type != "default", f"rope type {self.rope.type!r}"),
                (self.rope.partial != 1, f"only {self.rope.partial:g} of each head turned"),
                (self.activation != "silu", f"activation {self.activation!r}"),
                (self.unknown, f"settings that are not known here ({', '.join(self.unknown[:3])})"),
            )
            if wrong
        ]

    def kv_values_per_token(self) -> int:
        """Numbers that one token keeps in the key and value caches of all layers."""
        return 2 * self.layers * self.kv_heads * self.head

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors it must have, biases left out."""
        q, kv, hidden = self.heads * self.head, self.kv_heads * self.head, self.hidden
        sizes = ((q, hidden), (kv, hidden), (kv, hidden), (hidden, q), (self.inner, hidden), (self.inner, hidden),
                 (hidden, self.inner), (hidden,), (hidden,))  # fmt: skip
        out: dict[str, tuple[int, ...]] = {EMBED: (self.vocab, hidden), NORM: (hidden,)}
        if not self.tied:
            out[HEAD] = (self.vocab, hidden)
        for i in range(self.layers):
            out |= {f"model.layers.{i}.{b}.weight": size for b, size in zip(BLOCK, sizes, strict=True)}
        return out


def llama_of(config: Mapping[str, Any], rope: Rope, path: Path) -> Llama:
    """A Llama's config, with transformers' defaults where it says nothing. Raises ModelError for what is missing, not
    a number, or means another computation."""
    _refuse_other_settings(config, path)
    hidden, heads = _count(config, "hidden_size", path), _count(config, "num_attention_heads", path)
    kv_heads = _count(config, "num_key_value_heads", path, heads)
    if hidden % heads:
        raise ModelError(
            f"{path} says {heads} heads for a hidden size of {hidden}, which they do not divide.", "Mend the config."
        )
    if heads % kv_heads:
        raise ModelError(f"{path} says {heads} heads over {kv_heads} key and value heads.", "Mend the config.")
    eps = config.get("rms_norm_eps", 1e-6)
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < 1:
        raise ModelError(f"{path} says rms_norm_eps = {eps!r}.", "Mend the config.")
    activation = str(config.get("hidden_act", "silu"))
    known = READ | HARMLESS | _OFF.keys()
    strange = [key for key, value in config.items() if value and key not in known and not key.startswith(_MARKS)]
    return Llama(
        hidden=hidden,
        inner=_count(config, "intermediate_size", path),
        layers=_count(config, "num_hidden_layers", path),
        heads=heads,
        kv_heads=kv_heads,
        head=_count(config, "head_dim", path, hidden // heads),
        vocab=_count(config, "vocab_size", path),
        context=_count(config, "max_position_embeddings", path, 2048),
        tied=bool(config.get("tie_word_embeddings")),
        eps=float(eps),
        rope=rope,
        biases=bool(config.get("attention_bias") or config.get("mlp_bias")),
        activation="silu" if activation in _SILU else activation,
        unknown=tuple(sorted(strange)),
    )


def check_tensors(llama: Llama, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Raises ModelError if the weights are not those of this Llama: one missing, one too many, or of another shape."""
    if not any(name.startswith("model.") for name in tensors):
        return  # saved without the head's class: transformers finds its way, our engines say they do not
    wanted = llama.shapes()
    for name, tensor in tensors.items():
        if name.endswith("rotary_emb.inv_freq") or (llama.tied and name == HEAD):
            continue  # some files repeat what is known; a head of its own is looked at elsewhere
        if llama.biases and name.removesuffix(".bias") + ".weight" in wanted:
            continue
        if name not in wanted:
            raise ModelError(
                f"The weights in {folder} hold {name}, which is no part of a Llama model as config.json describes it.",
                "Merge adapters before use, and save config and weights together with save_pretrained.",
            )
        size = wanted.pop(name)
        if tensor.shape != size:
            raise ModelError(
                f"{name} in {folder} is {list(tensor.shape)}; its config.json says {list(size)}.",
                "Config and weights are of two models: copy the folder again.",
            )
    if wanted:
        hint = "Save the whole model, with adapters merged, by save_pretrained."
        if list(wanted) == [HEAD]:
            hint = 'If its head is its embedding, put "tie_word_embeddings": true into config.json.'
        raise ModelError(
            f"The weights in {folder} lack {len(wanted)} of the model's tensors ({', '.join(list(wanted)[:3])}).", hint
        )


def _refuse_other_settings(config: Mapping[str, Any], path: Path) -> None:
    for key, neutral in _OFF.items():
        value = config.get(key)
        if not value or value in neutral:  # nothing is said: null, false, 0, an empty list
            continue
        if key == "layer_types" and isinstance(value, list) and all(kind == "full_attention" for kind in value):
            continue
        if key == "sliding_window" and config.get("use_sliding_window") is False:
            continue
        if key == "no_rope_layers" and isinstance(value, list) and all(value):  # 1: this layer has them
            continue
        raise ModelError(
            f"{path} says {key} = {value!r}, which the Llama class of transformers passes over: the folder means "
            "another model than would be run.",
            "Name the class that knows it (model_type, architectures), or remove the setting if it is a left-over.",
        )


def _count(config: Mapping[str, Any], key: str, path: Path, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else value
    if value is None:
        raise ModelError(f"{path} names no {key}.", "Copy the model folder again.")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{path} says {key} = {value!r}, which is no count.", "Mend the config.")
    return value
