from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.preflight.flight import preflight
from instar.errors import ModelError
from tests.engines.tiny import make_model

SMALL = ["sizes.train=4", "sizes.gate=40", "sizes.sealed=4", "gate.guarded=[]", "verifier_stress=off"]
LORA = 'train={op="sft", lora={target_modules=["q_proj", "lm_head"]}}'


def test_a_dry_run_finds_a_model_that_cannot_be_used_and_stores_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    folder = make_model(tmp_path / "m", tie_word_embeddings=True)
    preflight(plan(read("rest_em", [*SMALL, f"model={folder}"])), fetch=False)
    with pytest.raises(ModelError, match="An adapter on lm_head cannot be saved"):
        preflight(plan(read("rest_em", [*SMALL, f"model={folder}", LORA])), fetch=False)
    for key in ("model", "judge_model"):
        with pytest.raises(ModelError, match="no model or folder 'smolm2'"):
            preflight(plan(read("rest_em", [*SMALL, f"{key}=smolm2"])), fetch=False)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 5e5}))
    with pytest.raises(ModelError, match="rope_theta twice"):
        preflight(plan(read("rest_em", [*SMALL, f"model={folder}"])), fetch=False)
    assert not [p for p in (tmp_path / "home").rglob("*") if p.is_file()]
