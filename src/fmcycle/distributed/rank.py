"""The rank of this process, and the channel by which rank 0 tells the others what to run. Imports torch only if there are others."""

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from fmcycle.errors import InputError

VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(days=7)  # the first rank may make the inputs before the others have anything to run
GRACE = 2.0  # seconds that a rank with a broken connection waits, so that its launcher sees which died first

job: Path | None = None  # the resolved config of the current job, which launched processes run
_channel = None


def launcher() -> str | None:
    """ "torchrun", "slurm" (srun), "nodes" (MASTER_ADDR and NODE_RANK set by the user); None if this process was started alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ:
        return "torchrun"
    if int(os.environ.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in os.environ:
        return None if os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive") else "slurm"
    return "nodes" if "MASTER_ADDR" in os.environ and "NODE_RANK" in os.environ and "LOCAL_RANK" not in os.environ else None


def number() -> int:
    """Return this process's rank, as the environment has it before the config is known."""
    names = {"torchrun": ("RANK",), "slurm": ("SLURM_PROCID",), "nodes": ("NODE_RANK",)}.get(launcher() or "", ("RANK", "LOCAL_RANK"))
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def first() -> bool:
    """True for the process that composes, makes inputs, prints and writes."""
    return number() == 0


def group() -> bool:
    """True if a launcher started other processes of this job."""
    return launcher() is not None


def check_world(devices: int, nodes: int) -> None:
    """Raises InputError if the launcher did not start `devices` processes on each of `nodes`."""
    kind = launcher()
    if kind == "slurm" and "SLURM_STEP_ID" not in os.environ:  # the batch script itself, which runs one process
        raise InputError(
            f"SLURM gave this job {os.environ['SLURM_NTASKS']} tasks and srun did not start them: write `srun python train.py ...`"
        )
    started = int({"torchrun": os.environ.get("WORLD_SIZE"), "slurm": os.environ.get("SLURM_NTASKS")}.get(kind or "") or devices * nodes)
    if started != devices * nodes:
        raise InputError(
            f"{kind} started {started} processes, trainer.devices {devices} x trainer.num_nodes {nodes} are {devices * nodes}: "
            f"choose trainer=ddp or trainer=fsdp, and set trainer.devices to the number of processes on a node"
        )


def alone() -> dict[str, str]:
    """Return the environment for a command that is a job of its own: without the ranks of this job."""
    kept = ("TORCHELASTIC", "SLURM_")
    return {name: value for name, value in os.environ.items() if name not in VARIABLES and not name.startswith(kept)}


class Channel:
    """Messages of the first rank to the others, through the rendezvous store of torch.distributed."""

    def __init__(self):
        from torch.distributed import DistNetworkError, PrefixStore, TCPStore

        served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun's agent serves the store
        host, port = _meeting_point()
        self.owner = first() and not served
        try:
            # multi_tenant: init_process_group, later in this process, shares the server
            store = TCPStore(host, port, is_master=self.owner, wait_for_workers=False, multi_tenant=True, timeout=timedelta(minutes=5))
        except DistNetworkError as error:
            busy = f"is taken: choose another MASTER_PORT ({error})" if self.owner else f"does not answer: did rank 0 start? ({error})"
            raise InputError(f"{host}:{port}, where the ranks meet, {busy}") from None
        self.store = PrefixStore(f"fmcycle/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        self.count = 0

    def tell(self, message: dict) -> None:
        """Send `message` to all others."""
        self.store.set(f"message/{self.count}", json.dumps(message))
        self.count += 1

    def hear(self) -> dict:
        """Wait for the first rank's next message and return it."""
        key = f"message/{self.count}"
        self.store.wait([key], PATIENCE)
        self.count += 1
        return json.loads(self.store.get(key))

    def close(self) -> None:
        """Send the end; the process that serves the store waits until the others have read it, at most 10 seconds."""
        others = int(os.environ.get("SLURM_NTASKS", os.environ.get("WORLD_SIZE", 1))) - 1
        self.tell({"end": True})
        until = time.monotonic() + 10
        while self.owner and self.store.add("left", 0) < others and time.monotonic() < until:
            time.sleep(0.1)


def _meeting_point() -> tuple[str, int]:
    if launcher() == "slurm":
        from lightning.pytorch.plugins.environments import SLURMEnvironment

        slurm = SLURMEnvironment(auto_requeue=False)
        return slurm.main_address, slurm.main_port
    return os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", 29500))


@contextmanager
def leading() -> Iterator[None]:
    """Lead the other processes of the group, if any, until the end of the block."""
    global _channel
    if _channel is not None or not group():
        yield
        return
    _channel = Channel()
    try:
        yield
    finally:
        _channel.close()
        _channel = None


@contextmanager
def shared(file: Path, config: dict) -> Iterator[None]:
    """Let all processes of this job, running or launched in the block, train by `config`, which is the content of `file`."""
    global job
    before = {name: os.environ.get(name) for name in VARIABLES}
    job = file
    if _channel is not None and first():
        _channel.tell({"file": str(file), "config": config})
    try:
        yield
    finally:
        job = None
        if not group():
            _forget_group(before)


def meet(backend: str, device=None) -> None:
    """Join the process group of the current job if the processes outlive it: every job of a multirun has its own group."""
    from torch import distributed

    if _channel is not None and launcher() != "nodes" and not distributed.is_initialized():
        world = int(os.environ["WORLD_SIZE" if launcher() == "torchrun" else "SLURM_NTASKS"])
        store = distributed.PrefixStore(f"job/{_channel.count}", _channel.store)
        distributed.init_process_group(backend, store=store, rank=number(), world_size=world, device_id=device)


def part() -> None:
    """Leave the process group: only the first rank works after training, and its metrics must not wait for the others."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _forget_group(before: dict[str, str | None]) -> None:
    """Leave the group and restore the environment, so that the next job of a multirun launches its own processes."""
    if "torch.distributed" in sys.modules:
        part()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def follow(run: Callable[[dict], None]) -> int:
    """Run what the first rank sends until it sends the end; a failure ends this process. Every other rank calls this."""
    global _channel, job
    try:
        _channel = Channel()
        while "config" in (message := _channel.hear()):
            job = Path(message["file"])
            run(message["config"])
        _channel.store.add("left", 1)
    except BaseException as error:
        fail(error)
    return 0


@contextmanager
def ahead(key: str) -> Iterator[None]:
    """Run the block on the first rank alone; the others run it afterwards, and find its files."""
    if _channel is None:
        yield
        return
    name = f"ahead/{_channel.count}/{key}"
    if not first():
        _channel.store.wait([name], PATIENCE)
    yield
    if first():
        _channel.store.set(name, "done")


def is_echo(error: BaseException) -> bool:
    """True if `error` only says that another process is gone."""
    text = f"{type(error).__name__}: {error}"
    return bool(re.search(r"gloo|NCCL|Dist(Backend|Network|Store)Error|Connection (closed|reset)|Broken pipe", text))


def end_with_others(error: BaseException) -> None:
    """End the first rank too, with a line instead of a traceback, if `error` only says that another process of the job is gone."""
    if group() and is_echo(error):
        fail(error)


def fail(error: BaseException) -> None:
    """End this rank; write its number and error to stderr and to the file that torchrun, or fmcycle's launcher, reads."""
    from torch.distributed.elastic.multiprocessing.errors import ErrorHandler

    code = getattr(error, "exit_code", None)
    if is_echo(error):
        line = str(error).splitlines()[0][:120]
        print(f"rank {number()}: another process is gone ({line})", file=sys.stderr, flush=True)
        time.sleep(GRACE)
    elif code != 75:
        ErrorHandler().record_exception(error)
        text = str(error) if code else "".join(traceback.format_exception(error))
        print(*(f"rank {number()}: {line}" for line in text.splitlines()), sep="\n", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code or 1)  # skips atexit: a collective that waits for a dead process would never end
