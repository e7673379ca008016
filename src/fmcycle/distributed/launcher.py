"""Lightning's launcher of one process a device; if one fails, it ends them all and says which failed and why."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from lightning.fabric.strategies.launchers.subprocess_script import _basic_subprocess_cmd
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from fmcycle.distributed import rank
from fmcycle.errors import Interrupted, TrainingError

NOTICE = 5.0  # seconds for the first rank to leave a broken collective by itself
ORDERLY = (None, 0, Interrupted.exit_code)


class Launcher(_SubprocessScriptLauncher):
    """Starts processes that read the first one's config file instead of composing it again."""

    def launch(self, function, *args, trainer=None, **kwargs):
        """Start the other processes of this node, then call `function`. Raises TrainingError if one of them failed first."""
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        self.errors, self.over = Path(tempfile.mkdtemp(prefix="fmcycle-ranks-")), threading.Event()
        self._call_children_scripts()
        threading.Thread(target=self._watch, daemon=True).start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        try:
            return function(*args, **kwargs)
        except Interrupted:
            raise
        except BaseException as error:
            blame = self._blame(time.time()) if rank.is_echo(error) else None
            self.over.set()
            self.kill(signal.SIGKILL)
            if blame is None:
                raise
            raise TrainingError(blame) from None

    def _call_children_scripts(self) -> None:
        environment = self.cluster_environment
        node = environment.node_rank()
        os.environ |= {
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(node),
            "LOCAL_RANK": "0",
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
        }
        source = str(Path(__file__).parents[2])
        command = [sys.executable, "-m", "fmcycle.cli.main", "rank", str(rank.job)] if rank.job else list(_basic_subprocess_cmd())
        for local in range(1, self.num_processes):
            own = {
                "LOCAL_RANK": str(local),
                "RANK": str(node * self.num_processes + local),
                "TORCHELASTIC_ERROR_FILE": str(self.errors / str(local)),  # torchrun's variable, so that both report alike
                "PYTHONPATH": os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])]),
            }
            self.procs.append(subprocess.Popen(command, env=os.environ | own))

    def _watch(self) -> None:
        """End the job if a process died and the first rank hangs in a collective with it."""
        while None in (codes := [process.poll() for process in self.procs]) or not set(codes) <= set(ORDERLY):
            if self.over.wait(0.5 if set(codes) <= set(ORDERLY) else NOTICE):
                return
            if not set(codes) <= set(ORDERLY):
                print(self._blame(time.time()), file=sys.stderr, flush=True)
                self.kill(signal.SIGKILL)
                os._exit(1)

    def _blame(self, at: float) -> str | None:
        """Return the error of the process that failed first within NOTICE seconds of the time `at`; None if none failed."""
        until = at + NOTICE - 1
        while time.time() < until:
            failed = [local for local, process in enumerate(self.procs, 1) if process.poll() not in ORDERLY]
            if failed:
                return self._last_words(min(failed, key=self._when))
            time.sleep(0.1)
        return None

    def _when(self, local: int) -> float:
        file = self.errors / str(local)
        return file.stat().st_mtime if file.is_file() else 0.0  # killed before it could report: the others failed because of it

    def _last_words(self, local: int) -> str:
        code, file = self.procs[local - 1].returncode, self.errors / str(local)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        said = f": {json.loads(file.read_text())['message']['message']}" if file.is_file() else ""
        number = self.cluster_environment.node_rank() * self.num_processes + local
        return f"rank {number} {how}{said}\nThe other ranks were ended; run the same command again to resume from the last checkpoint."


class DDP(DDPStrategy):
    """DDP with fmcycle's launcher."""

    def _configure_launcher(self) -> None:
        self._launcher = launcher(self)

    def setup_distributed(self) -> None:
        meet(self)
        super().setup_distributed()


def launcher(strategy) -> Launcher | None:
    """Return the launcher of a strategy; None if its processes already run."""
    environment = strategy.cluster_environment
    return None if environment.creates_processes_externally else Launcher(environment, strategy.num_processes, strategy.num_nodes)


def meet(strategy) -> None:
    """Let ranks that an external launcher started join one process group; Lightning then uses it."""
    strategy.set_world_ranks()
    strategy._process_group_backend = strategy._get_process_group_backend()
    rank.meet(strategy._process_group_backend, strategy.root_device if strategy.root_device.type != "cpu" else None)


def environment() -> ClusterEnvironment:
    """Return the environment from which Lightning reads ranks and addresses."""
    kind = rank.launcher()
    if kind == "torchrun":
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if kind == "slurm" else LightningEnvironment()
