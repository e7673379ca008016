"""A package outside the repository adds a model yaml, an objective and a dataset, and nothing in src knows of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[2]
FILES = {
    "acme/__init__.py": "",
    "acme/even.py": """
from dataclasses import dataclass

import torch.nn.functional as F

from fmcycle.ranges import PositiveFloat


@dataclass
class Even:
    \"\"\"Cross-entropy of each next token that stands at an even place.\"\"\"

    weight: PositiveFloat = 1.0

    def __call__(self, model, batch):
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1:2].float()
        targets = batch["input_ids"][:, 1::2]
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        return {"loss": self.weight * loss, "count": targets.numel()}


def digits(row, processor):
    \"\"\"A row with `number` as the ids of its digits.\"\"\"
    return {"input_ids": [int(sign) for sign in row["number"]]}
""",
    "acme/conf/model/acme_tiny.yaml": (
        "_target_: transformers.GPT2LMHeadModel\nvocab_size: 512\nn_embd: 16\nn_layer: 1\nn_head: 2\nn_positions: 32\n"
        "bos_token_id: 0\neos_token_id: 0\n"
    ),
    "acme/tally.py": """
from dataclasses import dataclass


@dataclass
class Config:
    \"\"\"inputs: `rows`, a table.\"\"\"

    inputs: dict
    out: str


def run(cfg: Config):
    import polars as pl

    return {"rows": len(pl.read_parquet(cfg.inputs["rows"]))}
""",
    "acme/conf/stage/tally.yaml": (
        "# @package _global_\n# How many rows a table has.\n_target_: acme.tally.run\ninputs: {rows: numbers.parquet}\n"
    ),
    "acme/conf/objective/even.yaml": "_target_: acme.even.Even\nweight: 2.0\n",
    "acme/conf/data/numbers.yaml": (
        "_target_: fmcycle.data.table.Table\npath: ${inputs.documents}\nformat: {_target_: acme.even.digits, _partial_: true}\n"
    ),
}
COMMAND = ["pretrain", "model=acme_tiny", "objective=even", "data=numbers", "processor.vocab_size=512", "evaluation=[]"]
COMMAND += [
    "inputs.tokens=null",
    "inputs.processor=processor",
    "inputs.documents=numbers.parquet",
    "budget.max_steps=3",
    "trainer.sample_every=0",
    "out=runs/made",
]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fmcycle.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_package_of_a_user_is_chosen_checked_and_trained_like_our_own(project, material):
    for name, content in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)
    file = project / "pyproject.toml"
    file.write_text(file.read_text() + '\n[tool.fmcycle]\npackages = ["acme"]\n')
    (project / "processor").symlink_to(material / "processor")
    rows = [{"id": str(n), "number": str(n * n).zfill(8), "split": ("train", "validation")[n % 5 == 0]} for n in range(60)]
    pl.DataFrame(rows).write_parquet(project / "numbers.parquet")
    wrong = run(project, *COMMAND, "objective.wait=3", "model.n_embed=8")
    assert wrong.returncode == 2
    assert "objective.wait" in wrong.stderr and "did you mean weight?" in wrong.stderr and "did you mean n_embd?" in wrong.stderr
    made = run(project, *COMMAND)
    assert made.returncode == 0, made.stderr[-2000:]
    metrics = json.loads((project / "runs/made/metrics.json").read_text())
    assert metrics["steps"] == 3 and metrics["targets"] == 3 * 8 * 4
    from fmcycle.model import store as model_store

    model, _ = model_store.load_model(project / "runs/made/model")
    assert type(model).__name__ == "GPT2LMHeadModel" and model.config.n_embd == 16
    assert "tally" in run(project, "--help").stdout and "How many rows a table has." in run(project, "tally", "--help").stdout
    counted = run(project, "tally", "out=runs/counted")
    assert counted.returncode == 0, counted.stderr[-2000:]
    assert json.loads((project / "runs/counted/metrics.json").read_text()) == {"rows": 60}
