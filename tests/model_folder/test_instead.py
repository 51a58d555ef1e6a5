"""A folder that is no model's is named for what it is, with what to do."""

from __future__ import annotations

import ast
import os
import shlex
from pathlib import Path

import pytest

from instar.app.weights.models import no_such, source_files
from instar.errors import ModelError
from instar.model_folder.files import tensors_of

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"adapter_config.json": '{"base_model_name_or_path": "owner/base"}', "adapter_model.safetensors": ""},
         "It is an adapter of owner/base"),
        ({"adapter_model.bin": "", "tokenizer.json": "{}", "adapter_config.json": "["},
         "It is an adapter, not a model"),
        ({"checkpoint-500/config.json": "{}", "checkpoint-1000/config.json": "{}"}, "checkpoint-1000."),
        ({"snapshots/abc/config.json": "{}", "refs/main": "abc"}, "snapshots/abc."),
        ({"config.json": "{}", "tokenizer.json": "{}", "pytorch_model.bin": "x"}, "save_pretrained("),
        ({"config.json": "{}", "tokenizer.json": "{}", "pytorch_model.bin": POINTER}, "is a Git LFS pointer"),
        ({"config.json": "{}", "tokenizer.json": "{}", "training_args.bin": POINTER, "optimizer.pt": "x",
          "rng_state_0.pth": "x", "scheduler.pt": "x"}, "Save it with save_pretrained."),
        ({"config.json": "{}", "tokenizer.json": "{}", "optimizer.bin": "x", "training_args.bin": "x",
          "pytorch_model-00001-of-00002.bin": "x"}, "pytorch_model-00001-of-00002.bin is of another form"),
        ({"notes.txt": ""}, "Save it with save_pretrained."),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_models_says_what_to_do_with_it(tmp_path: Path, files: dict[str, str], says: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelError) as refused:
        source_files(tmp_path)
    assert says in str(refused.value)


@pytest.mark.parametrize("files", [("adapter_config.json",), ("config.json", "tokenizer.json", "pytorch_model.bin")])
def test_the_command_that_a_user_is_told_to_paste_holds_the_folder_as_it_is_called(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    folder = tmp_path / """it's "$(mine)" `now`"""
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}")
    with pytest.raises(ModelError) as refused:
        source_files(folder)
    told = str(refused.value.hint)
    command = told[told.index(" -c ") :].partition(", copy")[0]
    _, code = shlex.split(command)
    texts = [n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)]
    assert str(folder) in texts


def test_weights_that_are_a_dead_link_or_a_web_page_are_named_so(tmp_path: Path) -> None:
    os.symlink("../blobs/gone", tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="a link that leads nowhere"):
        tensors_of(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(ModelError, match="a web page"):
        tensors_of(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert "is a file" in no_such(str(tmp_path / "model.gguf")).message
