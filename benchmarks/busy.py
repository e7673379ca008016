"""Training beside other programs: threads and how they wait, on a quiet machine and beside busy processes.

    python benchmarks/busy.py [SECONDS [BUSY ...]]      10 0 1, some 5 minutes; on a machine that does nothing else

One JSON line for each policy: tokens per second of the default's pretraining step with as many busy processes beside it, and the share of
the quiet rate of this policy and of the best. Each run is a process of its own, since torch reads the policy when it is imported.
"""

import json
import os
import subprocess
import sys
import time

POLICIES = {
    "as torch comes": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 100,000": {"GOMP_SPINCOUNT": "100000"},
}


def rate(seconds: float) -> float:
    """Tokens per second of training steps of the default model, after two that are not counted."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fmcycle.kernels import linear_cross_entropy
    from fmcycle.objective.next_token import NextToken
    from fmcycle.optimizer.muon import muon

    torch.manual_seed(0)
    sizes = {"vocab_size": 8192, "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 4}
    model = linear_cross_entropy.fuse(
        LlamaForCausalLM(LlamaConfig(**sizes, intermediate_size=688, max_position_embeddings=1024, tie_word_embeddings=True))
    )
    optimizer, objective = muon(model, lr=0.01), NextToken()
    batch = {"input_ids": torch.randint(0, 8192, (8, 256))}
    steps, begun = -2, time.perf_counter()
    while steps < 1 or time.perf_counter() - begun < seconds:
        if steps == 0:
            begun = time.perf_counter()
        objective(model, batch)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
    return steps * batch["input_ids"].numel() / (time.perf_counter() - begun)


def measured(policy: dict, threads: int, seconds: float, busy: int) -> float:
    """The rate in a process of its own, with `busy` processes beside it that count."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        unset = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        environment = unset | policy | {"OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--rate", str(seconds)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    if sys.argv[1:2] == ["--rate"]:
        print(rate(float(sys.argv[2])))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    loads = [int(word) for word in sys.argv[2:]] or [0, 1]
    cores = len(os.sched_getaffinity(0))
    rows = [
        {"policy": name, "threads": threads, "busy": busy, "tokens_per_second": round(measured(policy, threads, seconds, busy), 1)}
        for busy in loads
        for threads in sorted({cores, max(1, cores - 1)}, reverse=True)
        for name, policy in POLICIES.items()
    ]
    quiet = {(row["policy"], row["threads"]): row["tokens_per_second"] for row in rows if row["busy"] == min(loads)}
    for row in rows:
        own = row["tokens_per_second"] / quiet[row["policy"], row["threads"]]
        print(
            json.dumps(row | {"of_its_quiet_rate": round(own, 3), "of_the_best": round(row["tokens_per_second"] / max(quiet.values()), 3)})
        )


if __name__ == "__main__":
    main()
