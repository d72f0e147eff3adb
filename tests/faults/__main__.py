"""``python -m tests.faults --seeds A:B``: run many seeds, or one again."""

from __future__ import annotations

import argparse
import time
from collections import Counter

from .run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seeds", default="0:100")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--plant", action="append", default=[])
    given = parser.parse_args()
    plants = tuple(given.plant)
    if given.seed is not None:
        result = run(given.seed, plants, trace=given.trace)
        print("\n".join(result.trace))
        print("\n".join(result.violations) or "no violation", len(result.choices))
        return 1 if result.violations else 0
    first, _, last = given.seeds.partition(":")
    stats: Counter[str] = Counter()
    failed = []
    started = time.perf_counter()
    for seed in range(int(first), int(last)):
        result = run(seed, plants)
        stats += result.stats
        if result.violations:
            failed.append(seed)
            print(seed, result.violations[:3], flush=True)
    took = time.perf_counter() - started
    print(dict(stats))
    count = int(last) - int(first)
    print(f"{len(failed)} of {count} seeds violate; {1000 * took / count:.1f} ms each")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
