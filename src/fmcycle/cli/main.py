"""The command line: `fmcycle VERB [argument ...]`; every stage of conf/stage is a verb."""

import importlib.util
import sys
from pathlib import Path

# This file must also start in a Python that can't run the rest: it says so. So it imports the rest only below, and keeps to old syntax.
PYTHONS = ((3, 11), (3, 12))  # as requires-python in pyproject.toml
INSTALL = "install it again: `python3.11 -m venv .venv`, `. .venv/bin/activate`, then `pip install` with the wheel of fmcycle"
NEEDED = ("yaml", "hydra", "polars", "torch", "lightning", "transformers")  # packages without which no stage runs


def main(arguments: "list[str] | None" = None) -> int:
    """Run one command line, that of the process unless `arguments` are given; return the exit code."""
    verb, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    wrong = unable(sys.version_info[:2], NEEDED if verb != "doctor" else NEEDED[:2])
    if wrong:
        print(wrong, file=sys.stderr)
        return 2
    from fmcycle.cli import verbs
    from fmcycle.cli.outcome import told
    from fmcycle.hardware import threads

    threads.settle()
    with told() as end:
        if verb in ("-h", "--help", "help"):
            print(verbs.overview())
        elif "--version" in (verb, *rest):
            print(f"fmcycle {verbs.version()}")
        elif {"-h", "--help"} & set(rest):
            print(verbs.usage(verb, rest), end="")
        else:
            call = verbs.call(verb)
            end.code = call(rest) or 0
    return end.code


def unable(python: "tuple[int, ...]", packages: "tuple[str, ...]") -> str:
    """Return why fmcycle can't run in this Python, and the command that helps; "" if it can."""
    clone = Path(__file__).parents[3]
    folder = next((each for each in (Path(".venv"), clone / ".venv") if (each / "bin/activate").is_file()), None)
    new = "`make setup` makes an environment that has it" if (clone / "Makefile").is_file() else INSTALL
    repair = f"run `. {folder}/bin/activate`, then the same command again" if folder else new
    if python not in PYTHONS:
        known = " or ".join(".".join(map(str, each)) for each in PYTHONS)
        return f"fmcycle needs Python {known}, and {sys.executable} is Python {'.'.join(map(str, python))}: {repair}"
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"{sys.executable} has no {', '.join(missing)}, which fmcycle needs: {repair}" if missing else ""


if __name__ == "__main__":
    sys.exit(main())
