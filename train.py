"""One experiment: `python train.py [stage=finetune] [model=llama_small] [strategy=lora] [key=value ...]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from fmcycle.cli import main

if __name__ == "__main__":
    sys.exit(main.main(["train", *sys.argv[1:]]))
