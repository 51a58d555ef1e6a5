from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.app.config import plan, read
from instar.app.trainable import examine_models
from instar.errors import ModelError
from tests.engines.tiny import make_model

LORA = 'train={op="sft", lora={target_modules=["q_proj", "lm_head"]}}'


def test_a_dry_run_finds_a_model_that_cannot_be_used_and_stores_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    folder = make_model(tmp_path / "m", tie_word_embeddings=True)
    examine_models(plan(read("rest_em", [f"model={folder}"])))
    with pytest.raises(ModelError, match="An adapter on lm_head cannot be saved"):
        examine_models(plan(read("rest_em", [f"model={folder}", LORA])))
    for key in ("model", "judge_model"):
        with pytest.raises(ModelError, match="no model or folder 'smolm2'"):
            examine_models(plan(read("rest_em", [f"{key}=smolm2"])))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 5e5}))
    with pytest.raises(ModelError, match="rope_theta twice"):
        examine_models(plan(read("rest_em", [f"model={folder}"])))
    assert not (tmp_path / "home").exists()
