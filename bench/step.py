"""How long one step of the native engine's kernels takes, with nothing around it.

    python -m bench.step [--precision bf16] [--prompts 32] [--samples 8] [--tokens 48] [--length 54]

Random prompts of ``--length`` tokens are read in four steps, then every sample writes. Samples share the whole pages of
their prompt and part at once. Prints the milliseconds of a step of all rows, and tokens/s of the whole.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from bench import model
from instar.engines.native.llama import PAGE, SAMPLING, Ints, Llama


def once(llama: Llama, prompts: int, samples: int, length: int, tokens: int) -> tuple[float, float]:
    """Seconds of reading the prompts, and of the steps that write."""
    rows, whole = prompts * samples, length // PAGE
    each = -(-(length + tokens) // PAGE) - whole
    tables = np.zeros((rows, whole + each), np.int32)
    pages = iter(range(1, llama.pages + 1))
    for r in range(rows):
        tables[r, :whole] = tables[r - 1, :whole] if r % samples else [next(pages) for _ in range(whole)]
        tables[r, whole:] = [next(pages) for _ in range(each)]
    ids = np.random.default_rng(0).integers(0, llama.shape.vocab, (prompts, length), np.int32)
    samplings = np.full(rows, np.array((0.7, 1.0, 40), SAMPLING))
    keys, every = np.arange(rows, dtype=np.uint64), np.arange(rows, dtype=np.int32)
    began = time.perf_counter()
    drawn = []
    for part in np.array_split(np.arange(prompts), 4):
        n = len(part) * samples
        drawn.append(
            llama.step(
                ids[part].ravel(),
                np.tile(np.arange(length, dtype=np.int32), len(part)),
                np.repeat(part.astype(np.int32) * samples, length),
                tables,
                np.arange(1, len(part) + 1, dtype=np.int32) * length - 1,
                np.repeat(np.arange(len(part), dtype=np.int32), samples),
                samplings[:n],
                keys[:n],
                every[:n] * 0,
                alone=False,
            )
        )
    said: Ints = np.concatenate(drawn)
    read = time.perf_counter()
    for r in every[every % samples > 0]:
        llama.copy(int(tables[r - r % samples, whole]), int(tables[r, whole]))
    for place in range(1, tokens):
        at = np.full(rows, length + place - 1, np.int32)
        said = llama.step(said, at, every, tables, every, every, samplings, keys, every * 0 + place, alone=True)
    return read - began, time.perf_counter() - read


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--precision", default="bf16")
    for name, value in (("prompts", 32), ("samples", 8), ("tokens", 48), ("length", 54), ("times", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    llama = Llama(model.folder(), given.precision, 2)
    for _ in range(given.times):
        read, wrote = once(llama, given.prompts, given.samples, given.length, given.tokens)
        each = 1000 * wrote / (given.tokens - 1)
        rate = given.prompts * given.samples * given.tokens / (read + wrote)
        print(
            f"prompts {read:.3f} s, a step of {given.prompts * given.samples} rows {each:.1f} ms, {rate:,.0f} tokens/s"
        )
    llama.close()


if __name__ == "__main__":
    main()
