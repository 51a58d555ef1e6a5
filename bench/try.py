"""Tries one side at several settings: ``python -m bench.try SCRIPT [--python ENV] PROMPTSxSAMPLES SETTINGS ...``.

With ``--training`` the work is that of the training rows, PROMPTSxANSWERS rows a step.

How the settings of a peer were chosen; what was found is in docs/log. SETTINGS are JSON; {model} and {gguf:Q8_0} in
them become paths.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import signal
import statistics
import sys
from typing import Any

from bench import model
from bench.peers import venvs
from bench.train_work import training
from bench.work import generation
from bench.worker import Worker


def main() -> None:
    """Print tokens/s of each setting: the warm-up, then each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("script")
    parser.add_argument("size")
    parser.add_argument("settings", nargs="+")
    parser.add_argument("--python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--steps", type=int, default=3, help="of a reading, with --training; the first is not counted")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the peers are closed
    prompts, samples = map(int, given.size.split("x"))
    work = training(prompts, samples, given.steps) if given.training else generation(prompts, samples)
    for text in given.settings:
        filled = re.sub(
            r"\{gguf:(\w+)\}", lambda m: str(model.gguf(m[1])), text.replace("{model}", str(model.folder()))
        )
        chosen: dict[str, Any] = json.loads(filled)
        python = functools.partial(venvs.ensure, given.python) if given.python else None
        worker = Worker(text, given.script, functools.partial(dict, chosen), python)
        try:
            worker.open()
            readings = [worker.run(work(i)) for i in range(-1, given.rounds)]
            shown = ", ".join(f"{r.value:.0f}" for r in readings)
            median = statistics.median(r.value for r in readings[1:] or readings)
            print(f"{given.size} {text}: {median:.0f} tokens/s ({shown}) {dict(readings[-1].detail)}", flush=True)
        except RuntimeError as e:
            print(f"{given.size} {text}: {str(e)[-1500:]}", flush=True)
        finally:
            worker.close()


if __name__ == "__main__":
    main()
