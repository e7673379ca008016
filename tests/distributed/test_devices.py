"""Several processes as one run: the same losses, one config, and an end when one of them dies. Through the real commands, on the CPU."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny
from safetensors.torch import load_file

from fmcycle.distributed import rank
from fmcycle.errors import InputError
from fmcycle.training.trainer import TrainerConfig

BIN = Path(sys.executable).parent
TORCHRUN = (str(BIN / "torchrun"), "--standalone", "--nproc_per_node", "2", "train.py")
ALONE = (sys.executable, "train.py")
PROBE = """
import hashlib, json, os
from pathlib import Path
from fmcycle.distributed import rank
from fmcycle.optimizer.adamw import adamw

def seen(model, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.95, eps: float = 1e-8, weight_decay: float = 0.1):
    with open("seen.jsonl", "a") as file:
        file.write(json.dumps({"rank": rank.number(), "lr": lr, "config": hashlib.sha256(rank.job.read_bytes()).hexdigest()}) + "\\n")
    return adamw(model, lr=lr)

def broken(model, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.95, eps: float = 1e-8, weight_decay: float = 0.1):
    if rank.number() == 1:
        raise ArithmeticError("the second device is broken")
    return adamw(model, lr=lr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny project whose tokens are made."""
    made = tiny.make(tmp_path_factory.mktemp("devices") / "project")
    (made / "probe").mkdir()
    (made / "probe/__init__.py").write_text(PROBE)
    pyproject = made / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + '\n[tool.fmcycle]\npackages = ["probe"]\n')
    result = tiny.run(made, "dvc", "repro", "tokens")
    assert result.returncode == 0, result.stderr
    return made


def command(launch: tuple[str, ...], *overrides: str) -> list[str]:
    inputs = ("tokens=artifacts/tokens", "processor=artifacts/processor", "documents=artifacts/curate/documents.parquet")
    fixed = ["stage=pretrain", "selection=params.yaml", "evaluation={}", "base=require", *(f"inputs.{name}" for name in inputs)]
    two = [] if "trainer=cpu" in overrides else ["trainer.accelerator=cpu", "trainer.workers=0"]
    return [*launch, *fixed, *two, *overrides]


def train(folder: Path, launch: tuple[str, ...], *overrides: str) -> Path:
    """The folder of a new run."""
    shutil.rmtree(folder / "runs/pretrain", ignore_errors=True)
    result = tiny.run(folder, *command(launch, *overrides), timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    (made,) = (path for path in (folder / "runs/pretrain").iterdir() if path.is_dir())
    return made


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "loss.jsonl").read_text().splitlines()]


LOGITS = """
import sys; sys.modules["fmcycle"] = None
import torch
from transformers import AutoModelForCausalLM
with torch.no_grad():
    print(AutoModelForCausalLM.from_pretrained(sys.argv[1])(input_ids=torch.arange(5, 25)[None]).logits.double().flatten()[::37].tolist())
"""


@pytest.mark.prove
def test_two_processes_give_the_losses_of_one_and_weights_that_transformers_loads(folder, tmp_path):
    steps = ("budget.max_steps=20", "optimizer=adamw")
    kept, logits = {}, {}
    ways = {
        "one": (ALONE, "trainer=cpu"),
        "ddp": (TORCHRUN, "trainer=ddp"),
        "fsdp": (TORCHRUN, "trainer=fsdp"),
        "own": (ALONE, "trainer=fsdp"),
    }
    for name, (launch, trainer) in ways.items():
        run = train(folder, launch, trainer, *steps)
        kept[name] = losses(run)
        shown = subprocess.run([sys.executable, "-c", LOGITS, str(run / "out/model")], capture_output=True, text=True, check=True)
        logits[name] = json.loads(shown.stdout)
    assert len(kept["one"]) == 20
    for name in ways:
        assert kept[name] == pytest.approx(kept["one"], abs=1e-6), name
        assert logits[name] == pytest.approx(logits["one"], abs=1e-5), name


@pytest.mark.prove
@pytest.mark.parametrize("launch", [TORCHRUN, ALONE], ids=["torchrun", "own"])
def test_two_ranks_and_three_jobs_make_three_folders_with_one_config_each(folder, launch):
    shutil.rmtree(folder / "runs/pretrain", ignore_errors=True)
    (folder / "seen.jsonl").unlink(missing_ok=True)
    rates = ["0.001", "0.002", "0.003"]
    probe = ["optimizer=adamw", "optimizer._target_=probe.seen", f"optimizer.lr={','.join(rates)}"]
    result = tiny.run(folder, *command(launch, "trainer=ddp", "budget.max_steps=2", *probe), "-m", timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    configs = list((folder / "runs/pretrain").glob("*/config.yaml"))
    assert len(configs) == 3
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in configs}
    seen = [json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines()]
    assert len(digests) == 3 and {row["config"] for row in seen} == digests
    for rate in rates:
        both = [row for row in seen if row["lr"] == float(rate)]
        assert {row["rank"] for row in both} == {0, 1} and len({row["config"] for row in both}) == 1
    assert result.stdout.count("done in") == 3


def rank_one(process: psutil.Process) -> psutil.Process | None:
    for child in process.children(recursive=True):
        try:
            if child.environ().get("RANK") == "1":
                return child
        except psutil.Error:
            continue
    return None


@pytest.mark.prove
@pytest.mark.parametrize("launch", [TORCHRUN, ALONE], ids=["torchrun", "own"])
def test_a_rank_that_is_killed_ends_the_job_with_its_name_and_the_next_start_goes_on(folder, launch):
    shutil.rmtree(folder / "runs/pretrain", ignore_errors=True)
    words = command(launch, "trainer=ddp", "trainer.checkpoint_every=5", "budget.max_steps=200", "optimizer=adamw")
    with open(folder / "stderr", "w") as stderr:
        process = subprocess.Popen(words, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=stderr, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 200
        while not list((folder / "runs/pretrain").glob("*/step-*/manifest.json")):
            assert process.poll() is None and time.monotonic() < until, (folder / "stderr").read_text()
            time.sleep(0.1)
        victim = rank_one(psutil.Process(process.pid))
        victim.send_signal(signal.SIGKILL)
        died = time.monotonic()
        code = process.wait(timeout=60)
    assert time.monotonic() - died < 30 and code != 0
    said = (folder / "stderr").read_text()
    assert "rank 1 was killed by SIGKILL" in said or ("rank      : 1" in said and "Signal 9 (SIGKILL)" in said), said
    again = tiny.run(folder, *words, timeout=400)
    assert again.returncode == 0, again.stderr
    (run,) = (path for path in (folder / "runs/pretrain").iterdir() if path.is_dir())
    assert len(losses(run)) == 200


@pytest.mark.prove
@pytest.mark.parametrize("launch", [TORCHRUN, ALONE], ids=["torchrun", "own"])
def test_an_error_on_one_rank_is_told_with_its_number(folder, launch):
    shutil.rmtree(folder / "runs/pretrain", ignore_errors=True)
    result = tiny.run(folder, *command(launch, "trainer=ddp", "optimizer=adamw", "optimizer._target_=probe.broken"), timeout=200)
    assert result.returncode != 0 and "rank 1: ArithmeticError: the second device is broken" in result.stderr, result.stderr


@pytest.mark.prove
def test_two_nodes_by_torchrun_give_the_losses_of_one_process(folder):
    one = losses(train(folder, ALONE, "trainer=cpu", "budget.max_steps=4", "optimizer=adamw"))
    shutil.rmtree(folder / "runs/pretrain")
    nodes = [
        (str(BIN / "torchrun"), "--nnodes=2", f"--node_rank={node}", "--nproc_per_node=1", "--master_addr=127.0.0.1", "--master_port=29611")
        for node in (0, 1)
    ]
    words = [
        command((*node, "train.py"), "trainer=ddp", "trainer.num_nodes=2", "trainer.devices=1", "budget.max_steps=4", "optimizer=adamw")
        for node in nodes
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen(word, cwd=folder, env=environment, stdout=subprocess.DEVNULL) for word in words]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    (run,) = (path for path in (folder / "runs/pretrain").iterdir() if path.is_dir())
    assert losses(run) == pytest.approx(one, abs=1e-6)


@pytest.mark.prove
def test_an_adapter_under_fsdp2_holds_half_of_everything_and_merges_to_the_same(tmp_path):
    from trained import without_dropout

    from fmcycle.model import store as model_store
    from fmcycle.processor.bpe import bpe

    model_store.save_model(without_dropout(), bpe(["some text"] * 9, vocab_size=300), tmp_path / "base")
    program = Path(__file__).parents[1] / "helpers/adapter_on_two.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tiny.ROOT / "src"), str(program.parent)]), "OMP_NUM_THREADS": "1"}
    for name, devices in (("one", "1"), ("two", "2")):
        subprocess.run([sys.executable, str(program), str(tmp_path / name), devices], check=True, timeout=300, env=environment)
    whole = json.loads((tmp_path / "one/bytes-0.json").read_text())
    for number in (0, 1):
        shards = json.loads((tmp_path / f"two/bytes-{number}.json").read_text())
        assert all(shards[kind] < 0.6 * whole[kind] for kind in whole), (shards, whole)
        assert shards["gradient"] <= shards["trained"] and shards["optimizer"] <= 2.1 * shards["trained"]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-6)
    one, two = (load_file(tmp_path / name / "merged.safetensors") for name in ("one", "two"))
    assert all((one[name] - two[name]).abs().max() < 1e-5 for name in one)
    content = (max((tmp_path / "two").glob("step-*")) / "tensors.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")  # the names: at this size as many bytes as the numbers
    assert len(content) - header < 1.2 * (whole["trained"] + whole["optimizer"])


FOLLOWER = """
import json, sys
from fmcycle.distributed import rank
def run(config):
    print(json.dumps(config), flush=True)
if rank.first():
    from pathlib import Path
    with rank.leading():
        for number in range(3):
            with rank.shared(Path("config.yaml"), {"number": number}):
                run({"number": number})
else:
    sys.exit(rank.follow(run))
"""


def test_every_rank_hears_what_the_first_one_composed(tmp_path):
    port = "29713"
    common = os.environ | {"PYTHONPATH": str(tiny.ROOT / "src"), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common |= {"TORCHELASTIC_RUN_ID": "t", "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen([sys.executable, "-c", FOLLOWER], env=common | {"RANK": number}, stdout=subprocess.PIPE, text=True)
        for number in "01"
    ]
    heard = [process.communicate(timeout=120)[0].splitlines() for process in started]
    assert heard[0] == heard[1] == [json.dumps({"number": number}) for number in range(3)]
    assert [process.returncode for process in started] == [0, 0]


@pytest.mark.parametrize(
    ("environment", "kind", "number"),
    [
        ({}, None, 0),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "3", "WORLD_SIZE": "4"}, "torchrun", 3),
        ({"SLURM_NTASKS": "16", "SLURM_PROCID": "9", "SLURM_JOB_NAME": "sbatch"}, "slurm", 9),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None, 0),
        ({"SLURM_NTASKS": "16", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "interactive"}, None, 0),
        ({"MASTER_ADDR": "h", "NODE_RANK": "1"}, "nodes", 1),
        ({"MASTER_ADDR": "h", "NODE_RANK": "1", "LOCAL_RANK": "1", "RANK": "3"}, None, 3),
    ],
)
def test_the_environment_says_who_this_is(monkeypatch, environment, kind, number):
    for name in list(rank.alone().keys() ^ os.environ.keys()):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (rank.launcher(), rank.number(), rank.first()) == (kind, number, number == 0)
    assert not set(environment) & set(rank.alone())


def test_devices_that_are_not_there_are_refused_before_any_work(monkeypatch):
    import torch

    TrainerConfig().check()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="choose trainer=cpu"):
        TrainerConfig(accelerator="gpu").check()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"this machine has 1: choose trainer\.devices=1"):
        TrainerConfig(accelerator="auto", devices=2).check()
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"torchrun started 2 processes, trainer\.devices 1"):
        TrainerConfig().check()


def test_a_meeting_point_that_is_taken_is_named(monkeypatch):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1]), "NODE_RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match="is taken: choose another MASTER_PORT"), rank.leading():
            raise AssertionError("never reached")
