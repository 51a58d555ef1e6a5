from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.errors import ModelError
from instar.export.gguf import export_gguf
from tests.engines.tiny import CONFIG, make_model, tensors


@pytest.fixture(autouse=True)
def weights_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model's tokenizer is none that llama.cpp could follow; tests/cli/test_export.py has one that is."""
    monkeypatch.setattr("instar.export.gguf.write_tokenizer", lambda writer, folder: None)


def read(path: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    return {t.name: t for t in GGUFReader(path).tensors}


def save_raw(path: Path, arrays: dict[str, Any], dtype: str) -> None:
    """A safetensors file written by hand: numpy has no bfloat16."""
    header, body = {}, b""
    for name, a in arrays.items():
        raw = (a.view(np.uint32) >> 16).astype("<u2").tobytes() if dtype == "BF16" else a.astype("<f2").tobytes()
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_both_types_are_written_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    for kind in ("F16", "Q8_0"):
        export_gguf(folder, tmp_path / f"{kind}.gguf", kind)  # type: ignore[arg-type]
        found = read(tmp_path / f"{kind}.gguf")
        assert len(found) == len(tensors(0))
        assert found["blk.1.ffn_down.weight"].tensor_type.name == kind
        assert found["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["F16.gguf", "Q8_0.gguf", "m"]


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_half_width_weights_are_read_too(tmp_path: Path, dtype: str) -> None:
    folder = make_model(tmp_path / "m")
    rounded = {k: (v.view(np.uint32) & 0xFFFF0000).view(np.float32) for k, v in tensors(0).items()}
    save_raw(folder / "model.safetensors", rounded, dtype)
    export_gguf(folder, tmp_path / "half.gguf")
    found = read(tmp_path / "half.gguf")["token_embd.weight"].data
    assert np.array_equal(found, rounded["model.embed_tokens.weight"].astype(np.float16))


def test_shards_are_read_and_a_tied_head_is_left_out(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = make_model(tmp_path / "m", tie_word_embeddings=True)
    (folder / "model.safetensors").unlink()
    held = tensors(0, {**CONFIG, "tie_word_embeddings": True})
    names = sorted(held)
    for i, part in enumerate((names[:7], names[7:])):
        save_file({k: held[k] for k in part}, folder / f"part-{i}.safetensors")
    index = {k: f"part-{int(i >= 7)}.safetensors" for i, k in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    export_gguf(folder, tmp_path / "out.gguf")
    found = read(tmp_path / "out.gguf")
    assert "output.weight" not in found
    assert len(found) == len(names) - 1


def test_weights_that_are_not_finite_damaged_or_missing_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = make_model(tmp_path / "m")
    broken = tensors(0)
    broken["model.layers.0.mlp.up_proj.weight"][3, 4] = np.nan
    save_file(broken, folder / "model.safetensors")
    out = tmp_path / "out.gguf"
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.up_proj\.weight .* not all finite"):
        export_gguf(folder, out)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="not a readable safetensors"):
        export_gguf(folder, out)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        export_gguf(folder, out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]
