"""litgpt's model and loss in the loop of its pretrain.py (one device, no logging), with fused AdamW; with `compiled`, torch.compile."""

import os
import sys

import torch
from litgpt.config import Config
from litgpt.model import GPT
from litgpt.utils import chunked_cross_entropy
from measure import Meter
from pretrain import WARM, tokens, workload


def main() -> None:
    size, meter = workload(), Meter(WARM)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    config = Config(
        block_size=size["length"],
        vocab_size=size["vocabulary"],
        padded_vocab_size=size["vocabulary"],
        n_layer=size["layers"],
        n_head=size["heads"],
        n_embd=size["width"],
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
        intermediate_size=size["mlp"],
    )
    model = GPT(config).train()
    run, data = torch.compile(model) if "compiled" in sys.argv else model, tokens(size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    for step in range(size["steps"]):
        begin, count = step * size["rows"] * size["length"], size["rows"] * size["length"]
        ids, targets = (
            torch.from_numpy(data[begin + shift : begin + shift + count].astype("int64")).view(size["rows"], -1) for shift in (0, 1)
        )
        loss = chunked_cross_entropy(run(ids), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        meter.step(count)
    meter.report(loss=round(loss.item(), 4))


if __name__ == "__main__":
    main()
