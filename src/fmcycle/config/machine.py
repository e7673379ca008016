"""Where a stage computes: the machine of its `trainer`, and what is said of it at the start."""

from typing import Any

from fmcycle.config.build import build

CPU = {"_target_": "fmcycle.training.trainer.TrainerConfig"}


def machine_of(cfg) -> Any:
    """The machine that `cfg` asks for; the CPU where it names none."""
    return build(getattr(cfg, "trainer", None) or CPU)


def trains(section: dict) -> bool:
    """Does the stage of this section train, and so use all devices that there are?"""
    return "budget" in section or "candidates" in section


def said(machine, section: dict, written: dict) -> str:
    """What to say where a stage of this section asks fp32 of a GPU, and the key that changes it; empty where it does not.

    written: the section with its interpolations as they stand in the config.
    """
    if not machine.slow("32-true"):
        return ""
    asked = budgets(section)
    for key, node in budgets(written).items():
        if asked[key].get("precision", "32-true") == "32-true":
            followed = "trainer.precision" in str(node.get("precision"))
            change = "trainer.precision" if followed else f"{key}.precision" if "precision" in node else f"+{key}.precision"
            return f"{machine.slow('32-true', change)}; a budget's precision is part of what the result is"
    return "" if asked else machine.slow(machine.precision)


def budgets(section: dict) -> dict[str, dict]:
    """{dotted key: node} of every budget of a section."""
    parts = {"budget": section} | {f"candidates.{name}.budget": part for name, part in (section.get("candidates") or {}).items()}
    return {key: part["budget"] for key, part in parts.items() if "budget" in part}
