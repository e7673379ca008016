"""What `fmcycle plan` says against what runs cost: calibration runs teach the ledger, then 12 other configurations are held to the bars.

python benchmarks/plan.py [SECONDS]     calibration, then the 12: one line each, then the bars. Runs are kept in .cache/benchmarks/plan:
                                        after SECONDS none is begun, the same command goes on; delete the folder to measure anew
python benchmarks/plan.py fit [SECONDS] the factors of pace.EAGER that the runs of RATES would choose; none of the 12 is among them
python benchmarks/plan.py one NAME      one run by itself
"""

import json
import os
import shutil
import subprocess
import sys
import time

from measure import ENVIRONMENTS, ROOT

FOLDER = ENVIRONMENTS / "plan"
STEPS, VALIDATION = 8, 8  # steps and validation rows of a run
RIDGE = 0.03
INPUTS = {"tokens": "artifacts/tokens", "processor": "artifacts/processor", "documents": "artifacts/curate/documents.parquet"}
NO_EVALUATION = ["evaluation=[]", "~evaluation.bits_per_byte"]
COMMON = [
    *NO_EVALUATION,
    "trainer.threads=1",
    "trainer.checkpoint_every=1000",
    f"budget.max_steps={STEPS}",
    f"+budget.validation_rows={VALIDATION}",
]
ADAPTER = ["strategy=lora", "~strategy.peft_config.trainable_token_indices"]


def llama(width: int, layers: int, *more: str) -> list[str]:
    """A Llama `width` wide, with heads of 64."""
    heads = width // 64
    sizes = f"hidden_size={width} intermediate_size={width * 43 // 16} num_hidden_layers={layers}"
    return [f"model.{item}" for item in f"{sizes} num_attention_heads={heads} num_key_value_heads={heads}".split()] + list(more)


def gpt(width: int, layers: int, *more: str) -> list[str]:
    """A GPT-2 `width` wide, with heads of 64."""
    return ["model=gpt_small", f"model.n_embd={width}", f"model.n_layer={layers}", f"model.n_head={width // 64}", *more]


def data(rows: int, length: int) -> list[str]:
    """`rows` rows of `length` tokens a step."""
    return [f"budget.global_batch={rows}", f"data.max_length={length}"]


CALIBRATION = {
    "small": llama(256, 4, "optimizer=adamw", *data(8, 128)),
    "default": llama(256, 6, *data(8, 256)),
    "wide": llama(512, 4, "optimizer=adamw", *data(4, 256)),
    "gpt": gpt(256, 6, "optimizer=adamw", *data(8, 192)),
    "adapter": llama(384, 6, "optimizer=adamw", *ADAPTER, *data(8, 256)),
}
CHECKPOINTED = "trainer.gradient_checkpointing=true"
RATES = {
    "llama 128x6": llama(128, 6, "optimizer=adamw", *data(16, 128)),
    "llama 256x10": llama(256, 10, "optimizer=adamw", *data(8, 128)),
    "llama 448x3": llama(448, 3, "optimizer=adamw", *data(4, 448)),
    "vocabulary 8192": llama(320, 3, "optimizer=adamw", "model.vocab_size=8192", *data(8, 160)),
    "muon 320x4": llama(320, 4, *data(8, 160)),
    "muon 192x6, 4 micro-batches": llama(192, 6, *data(16, 128), "trainer.micro_batch=4"),
    "gpt 256x4": gpt(256, 4, "optimizer=adamw", *data(8, 256)),
    "gpt 320x6, muon": gpt(320, 6, *data(8, 128)),
    "gpt 128x8": gpt(128, 8, "optimizer=adamw", *data(16, 128)),
    "lora 320x6": llama(320, 6, "optimizer=adamw", *ADAPTER, *data(8, 192)),
    "freeze 320x6": llama(320, 6, "optimizer=adamw", "strategy=freeze", *data(8, 256)),
    "freeze 512x3": llama(512, 3, "optimizer=adamw", "strategy=freeze", *data(4, 320)),
    "checkpointed 256x8": llama(256, 8, "optimizer=adamw", CHECKPOINTED, *data(8, 192)),
    "checkpointed gpt 256x6": gpt(256, 6, "optimizer=adamw", CHECKPOINTED, *data(8, 160)),
}
HELD_OUT = {
    "llama 320x5": llama(320, 5, "optimizer=adamw", *data(8, 192)),
    "llama 512x6": llama(512, 6, "optimizer=adamw", *data(4, 384)),
    "llama 192x10": llama(192, 10, "optimizer=adamw", *data(16, 128)),
    "muon 384x4": llama(384, 4, *data(8, 256)),
    "muon 256x8, 2 micro-batches": llama(256, 8, *data(8, 192), "trainer.micro_batch=4"),
    "gpt 384x4": gpt(384, 4, "optimizer=adamw", *data(4, 384)),
    "gpt 192x8, muon": gpt(192, 8, *data(16, 160)),
    "lora 512x4": llama(512, 4, "optimizer=adamw", *ADAPTER, *data(4, 320)),
    "lora 256x8, rank 32": llama(256, 8, "optimizer=adamw", *ADAPTER, "strategy.peft_config.r=32", *data(8, 256)),
    "freeze 448x4": llama(448, 4, "optimizer=adamw", "strategy=freeze", *data(4, 256)),
    "vocabulary 16384": llama(256, 4, "optimizer=adamw", "model.vocab_size=16384", *data(8, 224)),
    "checkpointed 384x6": llama(384, 6, "optimizer=adamw", "trainer.gradient_checkpointing=true", *data(8, 320)),
}


def run(name: str, overrides: list[str]) -> dict:
    """Train `overrides` in a process of its own; returns its ledger line."""
    ledger = FOLDER / "runs/ledger.jsonl"
    before = ledger.read_text() if ledger.is_file() else ""
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    inputs = [f"inputs.{key}={ROOT / path}" for key, path in INPUTS.items()]
    shutil.rmtree(FOLDER / "runs/pretrain", ignore_errors=True)
    command = [sys.executable, "-m", "fmcycle.cli.main", "pretrain", *inputs, *COMMON, *overrides]
    done = subprocess.run(command, cwd=FOLDER, env=variables, capture_output=True, text=True)
    new = ledger.read_text()[len(before) :].splitlines() if ledger.is_file() else []
    if len(new) != 1:
        raise SystemExit(f"{name} failed: {' '.join(command)}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return json.loads(new[0])


def prepare() -> None:
    """A project folder with this repository's conf."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(FOLDER / "conf", ignore_errors=True)
    shutil.copytree(ROOT / "conf", FOLDER / "conf")
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(ROOT / name, FOLDER / name)


def made(file: str, configurations: dict[str, list[str]], known: list[dict], upto: float = float("inf")) -> list[dict]:
    """The ledger's lines of runs that begin with the ledger `known`, kept in `file`: one that is there is not made again.

    upto: seconds after which none is begun.
    """
    kept, end = FOLDER / file, time.monotonic() + upto
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    there = {line["name"] for line in lines}
    for name, overrides in configurations.items():
        if name not in there and time.monotonic() < end:
            (FOLDER / "runs").mkdir(exist_ok=True)
            (FOLDER / "runs/ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in known))
            lines.append(run(name, overrides) | {"name": name})
            kept.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines


def held_to(name: str, line: dict) -> dict:
    """Said beside done, for one configuration."""
    said, did = line["predicted"], line["actual"]
    row = {"name": name, "state_exact": all(said[part] == did[part] for part in ("weights", "gradients", "optimizer"))}
    for what in ("seconds", "peak"):
        value, low, high = said[what]
        row |= {what: round(value, 2), f"real_{what}": round(did[what], 2), f"{what}_error": round(value / did[what] - 1, 3)}
        row[f"{what}_covered"] = low <= did[what] <= high
    print(json.dumps(row), flush=True)
    return row


def fit(lines: list[dict]) -> dict[str, float]:
    """How much slower than the machine's rates each kind of work is, and `first`, the seconds of a run besides: what there is, moved by
    ridge regression of the relative errors. None becomes less than a tenth of what it was: there is no work that costs nothing.
    """
    import numpy as np

    from fmcycle.cost.plan import FIRST, FORWARD, WRITE
    from fmcycle.hardware.throughput import EAGER, RATE

    rate = next(iter(json.loads((FOLDER / ".cache/pace.json").read_text()).values()))
    factors, shares, rest = EAGER | {"first": FIRST}, [], []
    for line in lines:
        said, did = line["predicted"], line["actual"]["seconds"]
        micros = STEPS * said["accumulate"] + FORWARD * VALIDATION / said["micro"]
        total = {kind: micros * said["work"]["micro"][kind] + STEPS * said["work"]["update"][kind] for kind in EAGER}
        shares.append([*(total[kind] * EAGER[kind] / rate[RATE[kind]] / did for kind in EAGER), FIRST / did])
        written = said["weights"] * said["trained"] / said["parameters"] + said["optimizer"]
        rest.append(written / WRITE / did)
    matrix, others = np.array(shares), np.array(rest)
    change = np.linalg.solve(matrix.T @ matrix + RIDGE * np.eye(len(factors)), matrix.T @ (1 - others - matrix.sum(1)))
    change = np.maximum(change, -0.9)
    for line, before, after in zip(lines, matrix.sum(1) + others, matrix @ (1 + change) + others, strict=True):
        print(json.dumps({"name": line["name"], "error": round(before - 1, 3), "fitted": round(after - 1, 3)}))
    return {kind: round(float(value * (1 + more)), 3) for (kind, value), more in zip(factors.items(), change, strict=True)}


def main() -> None:
    """Calibrate, hold the 12 to the bars, print the summary."""
    prepare()
    words, upto = sys.argv[1:], float("inf")
    if words[:1] == ["one"]:
        held_to(words[1], run(words[1], (CALIBRATION | HELD_OUT)[words[1]]))
        return
    if words and words[-1].isdigit():
        upto = float(words.pop())
    if words == ["fit"]:
        print(json.dumps(fit(made("rates.jsonl", RATES, [], upto))))
        return
    began = time.monotonic()
    lines = made("calibration.jsonl", CALIBRATION, [], upto)
    if len(lines) < len(CALIBRATION):
        return
    done = made("held_out.jsonl", HELD_OUT, lines, upto - (time.monotonic() - began))  # those teach nothing
    rows = [held_to(line["name"], line) for line in done]
    print(
        json.dumps(
            {
                "configurations": len(rows),
                "state_exact": sum(row["state_exact"] for row in rows),
                "peak_within_15_percent": sum(abs(row["peak_error"]) <= 0.15 for row in rows),
                "time_within_25_percent": sum(abs(row["seconds_error"]) <= 0.25 for row in rows),
                "time_interval_covers": sum(row["seconds_covered"] for row in rows),
                "peak_interval_covers": sum(row["peak_covered"] for row in rows),
            }
        )
    )


if __name__ == "__main__":
    main()
