"""nanoGPT's loop in our own words: memory-mapped tokens, fused AdamW, clipping at 1; `compiled`: torch.compile. Source: its train.py."""

import os
import sys

import torch
from measure import Meter
from nanogpt import GPT, optimizer
from pretrain import WARM, tokens, workload


def main() -> None:
    size, meter = workload(), Meter(WARM)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    model = GPT(
        vocab_size=size["vocabulary"], block_size=size["length"], layers=size["layers"], heads=size["heads"], width=size["width"]
    ).train()
    adamw, data = optimizer(model, lr=1e-3, beta2=0.95), tokens(size)
    run = torch.compile(model) if "compiled" in sys.argv else model
    for step in range(size["steps"]):
        begin, count = step * size["rows"] * size["length"], size["rows"] * size["length"]
        ids, targets = (
            torch.from_numpy(data[begin + shift : begin + shift + count].astype("int64")).view(size["rows"], -1) for shift in (0, 1)
        )
        loss = run(ids, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        value = loss.item()
        meter.step(count)
    meter.report(loss=round(value, 4))


if __name__ == "__main__":
    main()
