"""Allows a choice of Hydra's launcher and of the resources of its jobs; refuses any other change of Hydra's own config."""

import re
from typing import Any

import yaml

from fmcycle.config.build import conf_dir
from fmcycle.errors import suggest

LAUNCHERS = ("basic", "slurm", "submitit_local", "submitit_slurm")
ASKS = (  # resources that a job requests from its cluster
    "account",
    "array_parallelism",
    "constraint",
    "cpus_per_gpu",
    "cpus_per_task",
    "exclude",
    "gpus_per_node",
    "gpus_per_task",
    "gres",
    "max_num_timeout",
    "mem_gb",
    "mem_per_cpu",
    "mem_per_gpu",
    "name",
    "nodes",
    "partition",
    "qos",
    "signal_delay_s",
    "submitit_folder",
    "tasks_per_node",
    "timeout_min",
)
FROM_FILE = ("setup", "additional_parameters")  # lines of the batch script: only conf/hydra/launcher/NAME.yaml may set them
PLAIN = re.compile(r"([\w .,:;=@+*/%\[\]-]|\$\{[\w.]+\})*", re.ASCII)  # characters that a line of a batch script may have
OURS = {  # values of hydra.* in conf/config.yaml and Hydra's defaults; the rest is help text or records the choices
    "run": {"dir": "."},
    "sweep": {"dir": ".", "subdir": "."},
    "sweeper": {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "max_batch_size": None, "params": None},
    "callbacks": {},
    "env": {},
    "mode": None,
    "verbose": False,
    "output_subdir": None,
    "job_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
    "hydra_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
}
JOB: dict[str, Any] = {"name": "app", "chdir": None, "env_set": {}, "env_copy": [], "config_name": "config"}
FROM_CONF = "configs come from conf/ and from [tool.fmcycle] packages in pyproject.toml; name the package there"
TOLD = ("help", "hydra_help", "overrides", "job", "runtime", "launcher", "searchpath")


def asked(overrides: list[str]) -> list[str]:
    """Return the problems of overrides that name a key or a group of Hydra itself."""
    found = []
    for text in overrides:
        key = text.lstrip("+~").split("=")[0]
        if re.split(r"[./@]", key)[0] != "hydra" or key == "hydra/launcher":
            continue
        names = key.split(".")
        if names[1:2] == ["searchpath"]:
            found.append(f"{text}: {FROM_CONF}")
            continue
        if names[:2] != ["hydra", "launcher"] or len(names) != 3 or names[2] not in ASKS:
            found.append(_refused(key, f"hydra.launcher.{names[-1]}" if key.startswith("hydra.launcher") else key))
    return found


def composed(hydra: dict, searchpath: list[str]) -> list[str]:
    """Return the problems of a composed hydra node, whichever file or override sets a value that is not OURS.

    hydra: plain data, interpolations unresolved; searchpath: the folders that add options to conf/.
    """
    found = [f"hydra.searchpath: {FROM_CONF}"] if hydra["searchpath"] != searchpath else []
    found += [_refused(f"hydra.{key}", key) for key in _different(hydra, OURS, TOLD)]
    found += [_refused(f"hydra.job.{key}", key) for key in _different({name: hydra["job"].get(name) for name in JOB}, JOB, ())]
    found += [_refused("hydra.runtime.output_dir", "")] if hydra["runtime"].get("output_dir") != "???" else []
    return found + _launcher(hydra["launcher"], hydra["runtime"]["choices"].get("hydra/launcher"))


def _launcher(node: dict, choice: str | None) -> list[str]:
    if choice not in LAUNCHERS:
        return [f"hydra/launcher={choice}: not a launcher for sweeps{suggest(str(choice), LAUNCHERS)}"]
    file = conf_dir() / f"hydra/launcher/{choice}.yaml"
    own = (yaml.safe_load(file.read_text()) or {}) if file.is_file() else {}
    kind = node.get("_target_", "").rpartition(".")[2]
    problems = [] if kind in ("BasicLauncher", "LocalLauncher", "SlurmLauncher") else [_refused("hydra.launcher._target_", "")]
    for key in FROM_FILE:
        if node.get(key) and node[key] != own.get(key):
            problems.append(f"hydra.launcher.{key}: lines of a batch script may only be set in conf/hydra/launcher/{choice}.yaml")
    for key, value in node.items():
        if key in ASKS and isinstance(value, str) and not PLAIN.fullmatch(value):
            problems.append(
                f"hydra.launcher.{key}: {value!r} has characters that a batch script may not have; use letters, numbers and .,:=@/%"
            )
    return problems


def _different(node: dict, ours: dict, told: tuple[str, ...]) -> list[str]:
    """Return the dotted keys of `node` whose values differ from `ours`."""
    found = []
    for key in sorted((set(node) | set(ours)) - set(told), key=str):
        mine: Any = ours.get(key)
        if isinstance(mine, dict) and mine and isinstance(node.get(key), dict):
            found += [f"{key}.{name}" for name in _different(node[key], mine, ())]
        elif key not in ours or (node.get(key) or None) != (mine or None):
            found.append(str(key))
    return found


def _refused(key: str, near: str) -> str:
    hint = suggest(near, [f"hydra.launcher.{name}" for name in ASKS]) if near.startswith("hydra.launcher") else ""
    return f"{key}: this key of Hydra may not be set; only hydra/launcher and the cluster resources of hydra.launcher may{hint}"
