"""The command line: `fmcycle VERB [argument ...]`; every stage of conf/stage is a verb."""

import sys

from fmcycle.cli import verbs
from fmcycle.cli.outcome import told
from fmcycle.hardware import threads


def main(arguments: list[str] | None = None) -> int:
    """Run one command line, that of the process unless `arguments` are given; return the exit code."""
    threads.settle()
    verb, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
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


if __name__ == "__main__":
    sys.exit(main())
