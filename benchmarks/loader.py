"""How much faster the loader is than the model that it feeds, what packing wastes, and the memory of a large token store.

    OMP_NUM_THREADS=1 python benchmarks/loader.py          # in the project, after `dvc repro tokens curate`; about 2 minutes

One JSON line a row. `loader`: tokens without padding that the loader gives in a CPU second, `model`: those that the small Llama trains on
in one (forward and backward, the same batches, one thread), `ratio` of the two, `filled`: the share of a batch that is no padding.
`store`: seconds to open a sparse store of that size, and the megabytes that 200 steps of 64 windows add to the process.
"""

import json
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.data.mixture import Mixture
from fmcycle.data.packing import Packed
from fmcycle.data.stream import Stream
from fmcycle.data.table import Table
from fmcycle.data.window import Windows
from fmcycle.kernels import linear_cross_entropy
from fmcycle.objective.next_token import NextToken
from fmcycle.objective.sft import SFT
from fmcycle.processor import store as processor_store
from fmcycle.processor.chat import instruction

TOKENS, DOCUMENTS, INSTRUCTIONS = "artifacts/tokens", "artifacts/curate/documents.parquet", "artifacts/curate/instructions.parquet"
LLAMA = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 688, "tie_word_embeddings": True}


def kinds() -> dict:
    """{name: (data, objective)} of what is read."""
    sources = {
        name: {"data": Packed(TOKENS, 256, DOCUMENTS, {"source": [name]}), "share": 1}
        for name in ("bible", "botocore", "networkx", "sympy")
    }
    return {
        "windows": (Windows(TOKENS, 256), NextToken()),
        "packed": (Packed(TOKENS, 256), NextToken()),
        "mixture": (Mixture(sources, 256), NextToken()),
        "instructions": (Table(INSTRUCTIONS, instruction, 512), SFT()),
        "instructions packed": (Table(INSTRUCTIONS, instruction, 512, packed=True), SFT()),
    }


def real(batch: dict, pad: int) -> int:
    """Tokens of a batch that are no padding."""
    return int((batch["input_ids"] != pad).sum())


def loading(rows, pad: int, steps: int = 300) -> tuple[float, float]:
    """(tokens a CPU second, share that is no padding) of the stream of micro-batches."""
    stream = iter(Stream(rows, seed=0, global_batch=8, micro=8, rank=0, world=1, start=0))
    next(stream)
    clock = time.process_time()
    batches = list(islice(stream, steps))
    seconds = time.process_time() - clock
    found = sum(real(batch, pad) for batch in batches)
    return found / seconds, found / sum(batch["input_ids"].numel() for batch in batches)


def training(rows, objective, model, pad: int, steps: int = 6) -> float:
    """Tokens a CPU second of forward and backward."""
    stream = iter(Stream(rows, seed=0, global_batch=8, micro=8, rank=0, world=1, start=0))
    objective(model, next(stream))["loss"].backward()
    batches = list(islice(stream, steps))
    clock = time.process_time()
    for batch in batches:
        objective(model, batch)["loss"].backward()
    return sum(real(batch, pad) for batch in batches) / (time.process_time() - clock)


def resident() -> int:
    """Bytes of this process that are in memory (Linux)."""
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def store(gigabytes: int) -> dict:
    """Open and read a store of zeros that takes no place on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train").mkdir()
        for number in range(4):
            with open(Path(folder) / f"train/shard-{number:05d}.npy", "wb") as file:
                count = gigabytes * 10**9 // 8
                np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": (count,)})
                file.truncate(file.tell() + 2 * count)
        clock, before = time.perf_counter(), resident()
        rows = Windows(folder, 256)("train", None)
        opened = time.perf_counter() - clock
        for _ in islice(Stream(rows, seed=0, global_batch=64, micro=64, rank=0, world=1, start=0), 200):
            pass
        return {"store": f"{gigabytes} GB", "open_seconds": round(opened, 3), "megabytes_more": round((resident() - before) / 2**20, 1)}


def main() -> None:
    """Print the rows."""
    torch.set_num_threads(1)
    for gigabytes in (1, 100):  # first, while the process is small
        print(json.dumps(store(gigabytes)), flush=True)
    processor = processor_store.load_processor("artifacts/processor")
    torch.manual_seed(0)
    model = linear_cross_entropy.fuse(LlamaForCausalLM(LlamaConfig(vocab_size=len(processor), **LLAMA))).train()
    for name, (data, objective) in kinds().items():
        rows = data("train", processor)
        loader, filled = loading(rows, processor.pad_token_id)
        demand = training(rows, objective, model, processor.pad_token_id)
        figures = {"loader": round(loader), "model": round(demand), "ratio": round(loader / demand, 1), "filled": round(filled, 4)}
        print(json.dumps({"data": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
