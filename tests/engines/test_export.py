from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.engines.openvino.export import export
from instar.errors import ModelError
from instar.model_folder.folder import plain_llama
from tests.engines.tiny import CONFIG, make_model, tensors


def read(folder: Path) -> dict[tuple[int, ...], list[Any]]:
    """All constants of an exported graph with more than a few numbers, by their shape."""
    import openvino as ov

    found: dict[tuple[int, ...], list[Any]] = {}
    for node in ov.Core().read_model(folder / "openvino_model.xml").get_ops():
        if node.get_type_name() == "Constant" and np.prod(node.shape) > 16:
            found.setdefault(tuple(node.shape), []).append(np.array(node.data))
    return found


def among(array: Any, found: dict[tuple[int, ...], list[Any]]) -> bool:
    return any(np.array_equal(array, a) for a in found.get(array.shape, []))


def save_raw(path: Path, arrays: dict[str, Any], dtype: str) -> None:
    """A safetensors file written by hand: numpy has no bfloat16."""
    header, body = {}, b""
    for name, a in arrays.items():
        raw = (a.view(np.uint32) >> 16).astype("<u2").tobytes() if dtype == "BF16" else a.astype("<f2").tobytes()
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_float32_weights_arrive_bit_for_bit_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    export(folder, tmp_path / "out", "f32")
    found = read(tmp_path / "out")
    assert all(among(a, found) for a in tensors(0).values() if a.ndim == 2)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["openvino_model.bin", "openvino_model.xml"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "out"]


def test_8_bit_weights_are_the_nearest_with_one_scale_a_row_and_the_embedding_is_not_among_them(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    export(folder, tmp_path / "out", "i8")
    found = read(tmp_path / "out")
    for name, array in tensors(0).items():
        if array.ndim != 2:
            continue
        scale = np.abs(array).max(1, keepdims=True) / 127
        if name == "model.embed_tokens.weight":
            assert among(array.astype(np.float16), found)
        else:
            assert among(np.rint(array / scale).astype(np.int8), found), name
            assert among(scale, found), name


def test_a_row_of_zeros_in_8_bits_stays_zero(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = make_model(tmp_path / "m")
    changed = tensors(0)
    changed["lm_head.weight"][3] = 0
    save_file(changed, folder / "model.safetensors")
    export(folder, tmp_path / "out", "i8")
    rows = [a for a in read(tmp_path / "out")[changed["lm_head.weight"].shape] if a.dtype == np.int8]
    assert len(rows) == 1
    assert not rows[0][3].any()
    assert rows[0][2].any()


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_half_width_weights_are_read_too(tmp_path: Path, dtype: str) -> None:
    folder = make_model(tmp_path / "m")
    rounded = {k: (v.view(np.uint32) & 0xFFFF0000).view(np.float32) for k, v in tensors(0).items()}
    save_raw(folder / "model.safetensors", rounded, dtype)
    export(folder, tmp_path / "half", "f32")
    wanted = rounded["model.embed_tokens.weight"]
    assert among(wanted.astype(np.float16).astype(np.float32) if dtype == "F16" else wanted, read(tmp_path / "half"))


def test_shards_are_read_and_a_tied_head_is_the_embedding(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = make_model(tmp_path / "m", tie_word_embeddings=True)
    (folder / "model.safetensors").unlink()
    held = tensors(0, {**CONFIG, "tie_word_embeddings": True})
    names = sorted(held)
    for i, part in enumerate((names[:7], names[7:])):
        save_file({k: held[k] for k in part}, folder / f"part-{i}.safetensors")
    index = {k: f"part-{int(i >= 7)}.safetensors" for i, k in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    export(folder, tmp_path / "out", "f32")
    found = read(tmp_path / "out")
    assert among(held["model.embed_tokens.weight"], found)
    assert sum(among(held["model.embed_tokens.weight"], {n: a}) for n, a in found.items()) == 1


def test_weights_that_are_no_part_of_a_llama_or_lack_one_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = make_model(tmp_path / "m")
    save_file(tensors(0) | {"model.layers.0.extra": np.ones(3, np.float32)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.layers\.0\.extra, which is no part"):
        export(folder, tmp_path / "out", "f32")
    held = tensors(0)
    del held["model.layers.1.mlp.up_proj.weight"]
    save_file(held, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"lack 1 of .* \(model\.layers\.1\.mlp\.up_proj"):
        export(folder, tmp_path / "out", "f32")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel.*LlamaForCausalLM"),
        ({"attention_bias": True}, "biases"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "llama3"),
    ],
)
def test_a_model_that_cannot_be_expressed_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        plain_llama(make_model(tmp_path / "m", **changed))


def test_weights_that_are_not_finite_damaged_or_missing_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = make_model(tmp_path / "m")
    broken = tensors(0)
    broken["model.layers.0.mlp.up_proj.weight"][3, 4] = np.nan
    save_file(broken, folder / "model.safetensors")
    out = tmp_path / "out"
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.up_proj\.weight .* not all finite"):
        export(folder, out, "f32")
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="not a readable safetensors"):
        export(folder, out, "f32")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        export(folder, out, "f32")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]
