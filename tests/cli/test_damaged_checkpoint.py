"""A run killed in training whose checkpoint was damaged says so in one sentence, and goes on once told how."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

from tests.engines.architectures import make_other
from tests.recipes.scripted import instar, start
from tests.recipes.test_other_architecture import SETS, questions

SLOWLY = (
    "train.epochs=12", "train.checkpoint_steps=1", "train.learning_rate=0.001", "control=false", "sizes.train=16",
    "sizes.gate=8", "sizes.sealed=8",
)  # fmt: skip


def test_a_flipped_byte_in_a_training_checkpoint_is_one_sentence_and_the_run_goes_on_without_it(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    model = make_other(tmp_path / "model", "gpt_neox", initializer_range=0.05)
    sets = [*SETS, *SLOWLY, f"model={model}", f"tasks.path={questions(tmp_path / 'sevens.jsonl')}"]
    process = start(runs, "hurt", *sets, common=())
    limit = time.monotonic() + 120
    while not (found := list((runs / "hurt" / "scratch").glob("*/checkpoint-*/state.safetensors"))):
        assert process.poll() is None, "it ended before it wrote a checkpoint"
        assert time.monotonic() < limit, "it never wrote a checkpoint"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    newest = max(found[0].parent.parent.glob("checkpoint-*"), key=lambda p: int(p.name.removeprefix("checkpoint-")))
    file = newest / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))

    done = instar("resume", "hurt", "--quiet", runs=runs, check=False)
    assert done.returncode not in (0, -signal.SIGKILL)
    said = [line for line in done.stderr.splitlines() if line.startswith("instar: ")]
    assert len(said) == 1, done.stderr
    assert f"{file} is damaged" in said[0].replace("\n", " ")
    assert "Traceback" not in done.stderr

    shutil.rmtree(newest)  # what the sentence says to do
    instar("resume", "hurt", "--quiet", runs=runs)
    assert json.loads(instar("show", "hurt", "--json", runs=runs).stdout)["status"] == "finished"
