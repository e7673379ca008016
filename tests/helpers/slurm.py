"""Not a test: sbatch, srun, sacct and scontrol of a pretended SLURM whose every node is this machine. Its variables are those of SLURM.

`install(FOLDER)` writes the four commands, each this file with its name as the first argument. sbatch runs the elements of an array one
after the other.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scontrol")
FIRST = 4711  # the number of the first job


def install(folder: Path) -> dict[str, str]:
    """The environment in which SLURM's commands are ours; `folder` holds them and what they know of their jobs."""
    folder.mkdir(parents=True)
    for name in COMMANDS:
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PRETENDED_SLURM": str(folder)}


def options(lines: list[str]) -> dict[str, str]:
    """{"nodes": "2", ...} of `--nodes=2` and `--unbuffered`."""
    return {name.lstrip("-"): value for name, _, value in (line.partition("=") for line in lines)}


def allocation(asked: dict[str, str], job: int) -> dict[str, str]:
    """SLURM's variables of a job with the `asked` nodes and tasks."""
    nodes, each = int(asked.get("nodes", 1)), int(asked.get("ntasks-per-node", 1))
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_JOBID": str(job),
        "SLURM_JOB_NAME": asked.get("job-name", "sbatch"),
        "SLURM_NNODES": str(nodes),
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_NTASKS": str(nodes * each),
        "SLURM_NTASKS_PER_NODE": str(each),
        "SLURM_NODELIST": "localhost",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
    }


def sbatch(words: list[str]) -> int:
    """Take the script, and run it in the background."""
    folder, script = Path(os.environ["PRETENDED_SLURM"]), Path(words[-1]).resolve()
    job = FIRST + 10 * len(list(folder.glob("*.script")))
    (folder / f"{job}.script").write_text(script.read_text())
    log = open(folder / f"{job}.log", "w")  # noqa: SIM115
    subprocess.Popen([sys.executable, __file__, "batch", str(job)], stdout=log, stderr=log, start_new_session=True)
    print(f"Submitted batch job {job}")
    return 0


def batch(words: list[str]) -> int:
    """Run a taken script, once for each element of its array."""
    folder, first = Path(os.environ["PRETENDED_SLURM"]), int(words[0])
    script = folder / f"{first}.script"
    asked = options(shlex.split(" ".join(re.findall(r"^#SBATCH (.*)$", script.read_text(), re.MULTILINE))))
    array = re.match(r"(\d+)-(\d+)", asked.get("array", ""))
    for index in range(int(array[1]), int(array[2]) + 1) if array else [None]:
        own = {} if index is None else {"SLURM_ARRAY_JOB_ID": str(first), "SLURM_ARRAY_TASK_ID": str(index)}
        name = str(first) if index is None else f"{first}_{index}"
        (folder / f"{name}.state").write_text("RUNNING")
        done = subprocess.run(["bash", script], env=os.environ | allocation(asked, first + (index or 0)) | own)
        (folder / f"{name}.state").write_text("COMPLETED" if done.returncode == 0 else "FAILED")
    return 0


def srun(words: list[str]) -> int:
    """Start the tasks of a step; the highest exit code. A signal is handed to every task, as slurmstepd does."""
    count = next(index for index, word in enumerate(words) if not word.startswith("-") and words[index - 1] not in ("--output", "--error"))
    flags, command = words[:count], words[count:]
    files = {flag: flags[flags.index(flag) + 1] for flag in ("--output", "--error") if flag in flags}
    asked = options([flag for flag in flags if flag not in files and flag not in files.values()])
    base = os.environ if "SLURM_JOB_ID" in os.environ else os.environ | allocation(asked, FIRST)
    each, tasks = int(base["SLURM_NTASKS_PER_NODE"]), []
    for number in range(int(base["SLURM_NTASKS"])):
        own = {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number % each), "SLURM_NODEID": str(number // each), "SLURM_STEP_ID": "0"}
        outputs = {}
        for flag, pattern in files.items():
            for sign, value in {
                "%A": base.get("SLURM_ARRAY_JOB_ID", base["SLURM_JOB_ID"]),
                "%a": base.get("SLURM_ARRAY_TASK_ID", "0"),
                "%j": base["SLURM_JOB_ID"],
                "%t": str(number),
            }.items():
                pattern = pattern.replace(sign, value)
            outputs["stdout" if flag == "--output" else "stderr"] = open(pattern, "a")  # noqa: SIM115
        tasks.append(subprocess.Popen(command, env=dict(base) | own, **outputs))
    for name in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(name, lambda number, _: [task.send_signal(number) for task in tasks if task.poll() is None])
    kill = "--kill-on-bad-exit=1" in flags or os.environ.get("SLURM_KILL_BAD_EXIT") == "1"
    while any(task.poll() is None for task in tasks):
        if kill and any(task.poll() not in (None, 0) for task in tasks):
            time.sleep(2.0)  # SLURM sees it a moment later
            [task.kill() for task in tasks if task.poll() is None]
        time.sleep(0.1)
    return max(abs(task.returncode) for task in tasks)


def sacct(words: list[str]) -> int:
    """The states of all jobs."""
    states = {file.stem: file.read_text() for file in Path(os.environ["PRETENDED_SLURM"]).glob("*.state")}
    print("JobID|State|NodeList", *(f"{name}|{state}|localhost" for name, state in states.items()), sep="\n")
    return 0


def scontrol(words: list[str]) -> int:
    """`scontrol show hostnames`."""
    print("localhost")
    return 0


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun, "sacct": sacct, "scontrol": scontrol, "batch": batch}[sys.argv[1]](sys.argv[2:]))
