"""What `fmcycle plan` says against what runs cost: calibration runs teach the ledger, then 12 other configurations are held to the bars.

python benchmarks/plan.py               calibration (kept in .cache/benchmarks/plan), then the 12: one line each, then the bars
python benchmarks/plan.py fit           the rates of pace.EAGER that the calibration runs would choose
python benchmarks/plan.py one NAME      one run by itself
"""

import json
import os
import shutil
import subprocess
import sys

from measure import ENVIRONMENTS, ROOT

FOLDER = ENVIRONMENTS / "plan"
STEPS = 8
INPUTS = {"tokens": "artifacts/tokens", "processor": "artifacts/processor", "documents": "artifacts/curate/documents.parquet"}
NO_EVALUATION = ["evaluation=[]", "~evaluation.bits_per_byte", "~evaluation.ngram"]
COMMON = [*NO_EVALUATION, "trainer.threads=1", "trainer.checkpoint_every=1000", f"budget.max_steps={STEPS}", "+budget.validation_rows=8"]
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
    command = [sys.executable, "-m", "fmcycle.cli", "pretrain", *inputs, *COMMON, *overrides]
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


def calibrate() -> list[dict]:
    """The ledger's lines of the calibration runs; those that are there are not made again."""
    kept = FOLDER / "calibration.jsonl"
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    known = {line["name"] for line in lines}
    for name, overrides in CALIBRATION.items():
        if name not in known:
            (FOLDER / "runs/ledger.jsonl").unlink(missing_ok=True)
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
    """How much slower than the machine's rates each kind of work is: what there is, moved by ridge regression of the relative errors."""
    import numpy as np

    from fmcycle.pace import EAGER

    rate = next(iter(json.loads((FOLDER / ".cache/pace.json").read_text()).values()))
    shares = []
    for line in lines:
        said, did = line["predicted"], line["actual"]["seconds"]
        micros = STEPS * said["accumulate"] + 0.35 * -(-8 // said["micro"])  # steps and one validation
        total = {kind: micros * said["work"]["micro"][kind] + STEPS * said["work"]["update"][kind] for kind in EAGER}
        shares.append([total[kind] * EAGER[kind] / rate[kind.rpartition("_")[2]] / did for kind in EAGER])
    matrix = np.array(shares)
    change = np.linalg.solve(matrix.T @ matrix + 0.05 * np.eye(len(EAGER)), matrix.T @ (1 - matrix.sum(1)))
    return {kind: round(float(value * (1 + more)), 3) for (kind, value), more in zip(EAGER.items(), change, strict=True)}


def main() -> None:
    """Calibrate, hold the 12 to the bars, print the summary."""
    prepare()
    if sys.argv[1:2] == ["one"]:
        name = sys.argv[2]
        held_to(name, run(name, (CALIBRATION | HELD_OUT)[name]))
        return
    lines = calibrate()
    if sys.argv[1:] == ["fit"]:
        print(json.dumps(fit(lines)))
        return
    rows = []
    for name, overrides in HELD_OUT.items():
        (FOLDER / "runs/ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))  # the held-out ones teach nothing
        rows.append(held_to(name, run(name, overrides)))
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
