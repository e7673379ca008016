"""Adapters as artifacts: what peft writes, without what changes from run to run."""

import json
from pathlib import Path

from fmcycle import artifact, durable


def save(model, folder: str | Path) -> None:
    """Write the adapter of a peft model; the same adapter has the same bytes.

    peft names the base's path, writes a model card, and lists sets in the order of their hashes.
    """
    with artifact.create(folder) as partial:
        model.save_pretrained(str(partial))
        (partial / "README.md").unlink(missing_ok=True)
        config = json.loads((partial / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = None
        for name in ("target_modules", "exclude_modules"):
            if isinstance(config.get(name), list):
                config[name] = sorted(config[name])
        durable.write_json(partial / "adapter_config.json", config)
