"""The device that a stage computes on, and the warning at its start about fp32 on a GPU."""

from typing import Any

from fmcycle.config.build import build

CPU = {"_target_": "fmcycle.training.trainer.TrainerConfig"}


def machine_of(cfg) -> Any:
    """Return the TrainerConfig of `cfg`; that of the CPU if it has none."""
    return build(getattr(cfg, "trainer", None) or CPU)


def trains(section: dict) -> bool:
    """True if the stage of this section trains, and so uses all devices."""
    return "budget" in section or "candidates" in section


def said(machine, section: dict, written: dict) -> str:
    """Return the warning that a stage of this section runs fp32 on a GPU, with the key that changes it; "" if it does not.

    written: the section with its interpolations unresolved.
    """
    if not machine.slow("32-true"):
        return ""
    asked = budgets(section)
    for key, node in budgets(written).items():
        if asked[key].get("precision", "32-true") == "32-true":
            followed = "trainer.precision" in str(node.get("precision"))
            change = "trainer.precision" if followed else f"{key}.precision" if "precision" in node else f"+{key}.precision"
            return f"{machine.slow('32-true', change)}; a budget's precision is part of the result's identity"
    return "" if asked else machine.slow(machine.precision)


def budgets(section: dict) -> dict[str, dict]:
    """Return {dotted key: node} of every budget of a section."""
    parts = {"budget": section} | {f"candidates.{name}.budget": part for name, part in (section.get("candidates") or {}).items()}
    return {key: part["budget"] for key, part in parts.items() if "budget" in part}
