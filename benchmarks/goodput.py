"""How much of a cluster's time is training: a run that fails, goes back to its last checkpoint and starts again, simulated.

    python benchmarks/goodput.py --nodes 16 256 2048 --mtbf-hours 30000 --checkpoint-seconds 60 --restart-seconds 300

One JSON line for every (nodes, interval): `goodput` is the share of the wall clock whose work was kept, 95 % of the simulated runs lie
between `low` and `high`. Without --interval-seconds the intervals are a quarter, half, one, two and four times Young's optimum;
the line of every cluster that has "best": true is the best of them. Failures are exponential, a node's are independent of the others',
and one may come during a checkpoint or a restart too. Seconds and hours, as the names say.
Sources: Young (1974) for sqrt(2 C M); Daly (2006) for its higher-order form and for the expected time that `expected` computes.
"""

import argparse
import json
import math

import numpy as np


def young(checkpoint: float, mtbf: float) -> float:
    """The interval of work between two checkpoints that wastes least, to first order: sqrt(2 C M). Seconds."""
    return math.sqrt(2 * checkpoint * mtbf)


def daly(checkpoint: float, mtbf: float) -> float:
    """Daly's estimate (2006, eq. 37) of the same interval, for checkpoints that are not short against the time between failures."""
    if checkpoint >= 2 * mtbf:
        return mtbf
    ratio = checkpoint / (2 * mtbf)
    return young(checkpoint, mtbf) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - checkpoint


def expected(interval: float, checkpoint: float, restart: float, mtbf: float) -> float:
    """Goodput in the long run, 0..1, in closed form (Daly, 2006, eq. 20): what the simulation approaches."""
    return interval / (mtbf * math.exp(restart / mtbf) * math.expm1((interval + checkpoint) / mtbf))


def simulate(interval: float, checkpoint: float, restart: float, mtbf: float, segments: int, generator: np.random.Generator) -> float:
    """Goodput of one run of `segments` intervals of work, each ended by a checkpoint; one that fails is done again after a restart."""
    wall, length = 0.0, interval + checkpoint
    fails = generator.geometric(math.exp(-length / mtbf), size=segments) - 1  # tries of each segment that a failure cut short
    count = int(fails.sum())
    # a failure inside a segment comes at an exponential time that is known to be below its length
    wall += segments * length - mtbf * np.log1p(generator.random(count) * math.expm1(-length / mtbf)).sum()
    # restarts may fail themselves: each failed one costs the time until its failure
    again = int((generator.geometric(math.exp(-restart / mtbf), size=count) - 1).sum()) if count else 0
    wall += count * restart - mtbf * np.log1p(generator.random(again) * math.expm1(-restart / mtbf)).sum()
    return segments * interval / wall


def rows(nodes: int, hours: float, checkpoint: float, restart: float, intervals: list[float], runs: int, days: float, seed: int):
    """One dict for every interval (Young's optimum times 1/4 .. 4 where none is given)."""
    mtbf = hours * 3600 / nodes
    best = young(checkpoint, mtbf)
    found = []
    for interval in intervals or [best * factor for factor in (0.25, 0.5, 1, 2, 4)]:
        generator = np.random.default_rng(seed)
        segments = max(1, math.ceil(days * 86400 / interval))
        goodput = np.array([simulate(interval, checkpoint, restart, mtbf, segments, generator) for _ in range(runs)])
        low, high = np.quantile(goodput, [0.025, 0.975])
        found.append(
            {
                "nodes": nodes,
                "mtbf_hours": round(mtbf / 3600, 3),
                "interval_seconds": round(interval, 1),
                "goodput": round(float(goodput.mean()), 4),
                "low": round(float(low), 4),
                "high": round(float(high), 4),
                "expected": round(expected(interval, checkpoint, restart, mtbf), 4),
                "young_seconds": round(best, 1),
                "daly_seconds": round(daly(checkpoint, mtbf), 1),
            }
        )
    top = max(range(len(found)), key=lambda index: found[index]["goodput"])
    return [row | {"best": index == top} for index, row in enumerate(found)]


def main(arguments: list[str] | None = None) -> None:
    """Print the rows of every cluster size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 16, 128, 1024])
    parser.add_argument("--mtbf-hours", type=float, default=30000, help="mean time between the failures of one node")
    parser.add_argument("--checkpoint-seconds", type=float, default=60, help="for which training stands still")
    parser.add_argument("--restart-seconds", type=float, default=300, help="from a failure to the first new step")
    parser.add_argument("--interval-seconds", type=float, nargs="*", default=[], help="of work between two checkpoints")
    parser.add_argument("--days", type=float, default=30, help="of work in a simulated run")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    for nodes in given.nodes:
        settings = (given.checkpoint_seconds, given.restart_seconds, given.interval_seconds, given.runs, given.days, given.seed)
        for row in rows(nodes, given.mtbf_hours, *settings):
            print(json.dumps(row))


if __name__ == "__main__":
    main()
