"""``python -m bench``: measure ourselves beside others, row by row. Says beforehand how long it will take.

    python -m bench                         all rows (hours on a small machine: the estimate is printed first)
    python -m bench --list
    python -m bench --only KEY[,KEY] --pairs 5

Each finished row is merged into docs/bench/results.json, with the table and the plot beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from bench import machine, results
from bench.rows import rows


def main() -> int:
    """Measure what is asked for. The exit code is 0 if all of it could be measured, whatever it showed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", help="keys, separated by commas")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--list", action="store_true", help="the rows and what each takes, then stop")
    parser.add_argument("--noise", action="store_true", help="count pairs too during which other programs were at work")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the peers are closed
    if given.noise:
        os.environ["INSTAR_BENCH_NOISE"] = "1"
    found = rows()
    wanted = given.only.split(",") if given.only else list(found)
    if unknown := [k for k in wanted if k not in found]:
        parser.error(f"there is no row {', '.join(unknown)}; there are: {', '.join(found)}")
    if given.pairs < 1:
        parser.error(f"--pairs is {given.pairs}: at least 1")
    for key in wanted:
        print(f"{found[key].minutes(given.pairs):5.1f} min  {key}: {found[key].title}")
    total = sum(found[k].minutes(given.pairs) for k in wanted)
    print(f"{total:5.1f} min in all, {given.pairs} pairs a row (first time: more, to install the peers)", flush=True)
    if given.list:
        return 0
    here = machine.describe()
    failed = []
    for key in wanted:
        began = time.perf_counter()
        print(f"{key}", flush=True)
        try:
            outcome = found[key].measure(given.pairs, lambda line: print(line, flush=True))
        except Exception as e:  # the other rows can still be measured
            failed.append(key)
            print(f"  could not be measured: {e}", file=sys.stderr, flush=True)
            continue
        results.merge(outcome, here)
        sign = ">=" if outcome.at_least else "<="
        target = f", target {sign} {outcome.target:g}: {'met' if outcome.met else 'NOT met'}" if outcome.target else ""
        minutes = (time.perf_counter() - began) / 60
        print(f"  {outcome.ratio:.2f} ({outcome.low:.2f} to {outcome.high:.2f}){target}; {minutes:.1f} min", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
