"""`fmcycle doctor`: what this machine and this project have, what is broken, and what will be slow."""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml

from fmcycle.cli import verbs
from fmcycle.config import build, library
from fmcycle.hardware import memory, threads

OPTIONAL = {  # {extra of pyproject.toml: (its module, what needs it)}
    "ray": ("ray", "executor=ray"),
    "hub": ("datasets", "data=hub:NAME"),
    "wandb": ("wandb", "logger=wandb"),
    "mlflow": ("mlflow", "logger=mlflow"),
    "trackio": ("trackio", "logger=trackio"),
    "postgres": ("psycopg", "FMCYCLE_STORE=postgresql://..."),
}
# Asked in a process of its own, so that a torch that crashes breaks one row, and this process stays small.
TORCH = """
import json, torch
found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
devices = [f"{each.name}, {each.total_memory / 1e9:.0f} GB" for each in found] or ["Apple GPU"] * torch.backends.mps.is_available()
built = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}" if torch.version.hip else "CPU"
print(json.dumps({"version": torch.__version__, "built": built, "devices": devices, "threads": torch.get_num_threads()}))
"""
FEW_MEMORY, FEW_DISK = 4e9, 10e9  # bytes: less is named


@dataclass
class Row:
    """One line of the table. slow: why something will be slow or fail; broken: what to do about what every command needs."""

    name: str
    found: str
    slow: str = ""
    broken: str = ""


def main(arguments: list[str]) -> int:
    """Print the table; return 2 if something that every command needs is broken, else 0."""
    verbs.parse("doctor", arguments)
    from rich.console import Console
    from rich.table import Table

    rows, shown = every(), Table(box=None, header_style="bold", pad_edge=False)
    for title in ("part", "found", "to do"):
        shown.add_column(title, overflow="fold")
    for row in rows:
        shown.add_row(row.name, row.found, f"BROKEN: {row.broken}" if row.broken else row.slow)
    console = Console(highlight=False, markup=False)
    console.width = console.width if console.is_terminal else 200
    console.print(shown)
    return 2 if any(row.broken for row in rows) else 0


def every() -> list[Row]:
    """Return all rows: the interpreter, the machine, then the project."""
    python = Row("Python", f"{platform.python_version()} ({sys.executable})")
    return [python, *compute(torch()), *space(), *packages(), *project()]


def torch() -> dict:
    """Return what torch says of itself: version, built, devices, threads; {"error": its last line} if it is not importable."""
    done = subprocess.run([sys.executable, "-c", TORCH], capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}


def compute(found: dict) -> list[Row]:
    """Return the rows of torch, its devices, and the threads. found: as `torch` returns it."""
    cores, busy = threads.cores(), os.getloadavg()[0]
    if "error" in found:
        return [Row("torch", f"not importable: {found['error']}", broken="`make setup` installs the torch of the lock")]
    devices, used = found["devices"], found["threads"]
    chosen = str(build.local().get("trainer", "cpu"))
    slow = "" if devices else "models train on the CPU: `fmcycle plan STAGE` predicts how long"
    if devices and chosen == "cpu":
        slow = "no stage uses it: choose trainer=gpu, for all runs by `trainer: gpu` in local.yaml"
    elif not devices and found["built"] != "CPU":
        slow = f"torch is built for {found['built']} and sees no device: check the driver"
    waits = f"{busy:.1f} processes wait for {cores} cores: everything takes longer than planned" if busy > cores + 1 else ""
    fewer = f"{used} of {cores} cores compute: unset OMP_NUM_THREADS, or set it to {cores}" if used < cores else ""
    return [
        Row("torch", f"{found['version']}, built for {found['built']}"),
        Row("devices", "; ".join(devices) or "no GPU", slow),
        Row("cores", f"{cores} of {os.cpu_count()}, {used} thread{'s' * (used > 1)}, load {busy:.1f}", fewer or waits),
    ]


def space() -> list[Row]:
    """Return the rows of memory, and of the disks below runs/, the DVC cache and the cache of signatures."""
    free, every = memory.free(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    few = "a larger model will not fit: `fmcycle plan STAGE` says what does" if free < FEW_MEMORY else ""
    rows = [Row("memory", f"{free / 1e9:.1f} GB free of {every / 1e9:.1f} GB", few)]
    for name, folder in (("runs/", Path("runs")), ("DVC cache", Path(".dvc/cache")), ("cache", library.cache().parent)):
        place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())
        left = shutil.disk_usage(place).free
        few = "delete runs that you no longer need, and old versions with `dvc gc --workspace`" if left < FEW_DISK else ""
        rows.append(Row(f"disk of {name}", f"{left / 1e9:.1f} GB free ({folder})", few))
    if not library.cache().is_file():
        rows.append(Row("signatures", f"{library.cache()} is not there", "the first command reads the libraries' source, some seconds"))
    return rows


def packages() -> list[Row]:
    """Return the row of each optional package that is missing."""
    missing = {extra: needs for extra, (module, needs) in OPTIONAL.items() if importlib.util.find_spec(module) is None}
    return [Row(f"package {extra}", "not installed", f"only for {needs}: {install(extra)}") for extra, needs in missing.items()]


def install(extra: str) -> str:
    """Return the command that installs the packages of an extra, whether fmcycle came as a wheel or as a clone."""
    try:
        lines = metadata.requires("fmcycle") or []
    except metadata.PackageNotFoundError:
        lines = []
    needed = [line.partition(";")[0].strip() for line in lines if re.search(rf"extra == ['\"]{extra}['\"]", line)]
    quoted = " ".join(f"'{each}'" for each in needed)
    return f"pip install {quoted}" if needed else f"pip install -e '.[{extra}]'"


def project() -> list[Row]:
    """Return the rows of the working folder: its conf/, git and DVC."""
    if not (Path("conf/config.yaml").is_file() or Path("params.yaml").is_file()):
        found = f"{Path.cwd()} has no params.yaml"
        return [Row("project", found, "change into the folder of your project, or make one: `fmcycle init NAME`")]
    rows = [Row("project", str(Path.cwd()))]
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed is None:
        rows.append(Row("git", "no repository", "no run can say which code made it: git init, git commit"))
    else:
        count = len(changed.splitlines())
        rows.append(Row("git", f"{_git('rev-parse', '--short', 'HEAD') or 'no commit'}, {count} changed file{'s' * (count != 1)}"))
    if not Path("dvc.yaml").is_file() or not Path(".dvc").is_dir():
        return [*rows, Row("DVC", "no pipeline", "each stage makes what it needs in runs/; `dvc init` and a dvc.yaml make a pipeline")]
    graph, made = (_stages(Path(name)) for name in ("dvc.yaml", "dvc.lock"))
    there = [name for name in graph if name in made]
    return [*rows, Row("DVC", f"{len(there)} of {len(graph)} stages in dvc.lock", "`dvc status` says which of them are stale")]


def _stages(file: Path) -> dict:
    """Return the stages of dvc.yaml or dvc.lock; {} if the file is missing or no YAML."""
    try:
        found = yaml.safe_load(file.read_text()) if file.is_file() else None
    except yaml.YAMLError:
        return {}
    return (found.get("stages") or {}) if isinstance(found, dict) else {}


def _git(*words: str) -> str | None:
    """Return the output of a git command; None if it fails."""
    if not shutil.which("git"):
        return None
    done = subprocess.run(["git", *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
