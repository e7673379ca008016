"""Supervised fine-tuning (LoRA, rank 16) on Llama 256 wide x 8 layers, fp32, of conversations of very different lengths: ours beside TRL.

python benchmarks/sft.py             every row, in turns; real tokens (no padding) per CPU second
python benchmarks/sft.py packed      one measurement of ours (packed, padded, equal)

Lengths are drawn from a log-normal distribution (median 60 tokens, sigma 0.7, cut to 16 .. 256), as conversations are: few long ones.
"""

import sys

from lora import adapted, train
from measure import compare, environment

SIZES = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
ROWS, LENGTH, STEPS = 16, 256, 5
TRL = ("trl==1.16.0", "transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0", "datasets==5.2.0")


def conversations(count: int = 500) -> list[list[int]]:
    """Rows of random tokens from 8 on, of ragged lengths, the same for everybody."""
    import numpy as np

    generator = np.random.default_rng(0)
    lengths = np.clip(60 * np.exp(0.7 * generator.standard_normal(count)), 16, LENGTH).astype(int)
    return [generator.integers(8, SIZES["vocab_size"], size=length).tolist() for length in lengths]


def ours(kind: str) -> None:
    """packed: into windows of 256; padded: to the longest of 16; equal: documents of 256, without padding."""
    import numpy as np

    from fmcycle.data.table import Packed, Rows

    if kind == "equal":
        texts = np.random.default_rng(0).integers(8, SIZES["vocab_size"], size=(ROWS * STEPS, LENGTH)).tolist()
    else:
        texts = conversations()
    made = [{"input_ids": text, "labels": text} for text in texts]
    rows = Packed(made, LENGTH, 0) if kind == "packed" else Rows(made, 0)
    train(lambda: adapted(SIZES), rows, ROWS, STEPS * (2 if kind == "padded" else 1))


def main() -> None:
    """Every row, and ours packed over the rates of TRL's and of equal-length documents."""
    here, peer = [sys.executable, "benchmarks/sft.py"], [environment("trl", *TRL), "benchmarks/peers/trl_sft.py"]
    rows = compare(
        {
            "ours, packed": [*here, "packed"],
            "ours, equal lengths": [*here, "equal"],
            "ours, padded": [*here, "padded"],
            "TRL, packed": [*peer, "packed"],
            "TRL, packed, one row at a time": [*peer, "packed", "one"],
            "TRL, padded": [*peer, "padded"],
        }
    )
    rate = {name: row["tokens_per_cpu_second"] for name, row in rows.items()}
    for name in list(rate)[1:]:
        print(f"ours, packed: {rate['ours, packed'] / rate[name]:.2f} x {name}")


if __name__ == "__main__":
    ours(sys.argv[1]) if len(sys.argv) > 1 else main()
