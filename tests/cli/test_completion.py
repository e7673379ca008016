"""TAB completes the words of fmcycle, in the shells themselves."""

import os
import pty
import resource
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmcycle.cli import completion, verbs
from fmcycle.config import groups

START = {
    "bash": ("bash --norc --noprofile -i", "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'"),
    "zsh": ("zsh -f -i", "autoload -Uz compinit; compinit -u -D; setopt no_beep no_prompt_cr no_prompt_sp"),
}
SHELLS = [pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")) for name in START]


@pytest.fixture
def program(project, root) -> dict[str, str]:
    """An environment whose PATH begins with the `fmcycle` of this tree."""
    (project / "bin").mkdir()
    file = project / "bin/fmcycle"
    file.write_text(f'#!/bin/sh\nPYTHONPATH={root / "src"} exec {sys.executable} -m fmcycle.cli.main "$@"\n')
    file.chmod(0o755)
    return os.environ | {"PATH": f"{file.parent}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "> "}


TYPED = {  # keys: what the shell then shows
    "fmcycle finet\t": "fmcycle finetune ",
    "fmcycle finetune --mul\t": "fmcycle finetune --multirun ",
    "fmcycle finetune --cfg jo\t": "--cfg job ",
    "fmcycle pretrain proc\tb\t": "fmcycle pretrain processor=bpe ",
    "fmcycle finetune model=llama_t\t": "model=llama_tiny ",
    "fmcycle finetune model=llama_\t": "llama_moe_small",
    "fmcycle finetune experiment=lora\t": "experiment=lora_rank ",
    "fmcycle evaluate 'evaluation=[safety,bits_per_d\t": "'evaluation=[safety,bits_per_dimension",
    "fmcycle finetune strategy.peft_config.lora_a\t": "strategy.peft_config.lora_alpha=",
    "fmcycle finetune inputs.model=para\t": "inputs.model=params.yaml ",
    "fmcycle lineage para\t": "lineage params.yaml ",
}


def until(terminal: int, wanted: str) -> str:
    """What a terminal shows from now on, read until `wanted` is there or 10 s have passed."""
    shown, deadline = "", time.monotonic() + 10
    while wanted not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            shown = (shown + os.read(terminal, 4096).decode()).replace("\r", "").replace("\x08", "")
    return shown


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_completes_the_word_in_the_shell(shell, program):
    command, start = START[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command.split()[0], command.split(), program)
    os.write(terminal, f"{start}; source <(fmcycle completion {shell}); echo rea''dy\n".encode())
    assert "\nready" in until(terminal, "\nready")
    shown = {}
    for keys, wanted in TYPED.items():
        os.write(terminal, b"\x15" + keys.encode())  # behind an empty line
        shown[keys] = until(terminal, wanted)
    os.close(terminal)
    os.waitpid(child, 0)
    assert not {keys: shown[keys] for keys, wanted in TYPED.items() if wanted not in shown[keys]}


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes_the_word_and_else_a_file(program, project):
    offered = {
        "fmcycle finet": "finetune",
        "fmcycle finetune --mul": "--multirun",
        "fmcycle finetune --cfg jo": "job",
        "fmcycle finetune model=llama_t": "model=llama_tiny",
        "fmcycle evaluate evaluation=[safety,bits_per_d": "evaluation=[safety,bits_per_dimension",
        "fmcycle finetune strategy.peft_config.lora_a": "strategy.peft_config.lora_alpha=",
        "fmcycle finetune inputs.model=para": "inputs.model=params.yaml",
        "fmcycle lineage para": "params.yaml",
    }
    asked = "; ".join(f"echo '>'; complete -C '{line}'" for line in offered)
    command = ["fish", "--no-config", "-c", f"fmcycle completion fish | source; {asked}"]
    done = subprocess.run(command, env=program | {"HOME": str(project)}, capture_output=True, text=True)
    shown = [part.split("\n") for part in done.stdout.split(">\n")[1:]]
    found = dict(zip(offered, ([line.partition("\t")[0] for line in part] for part in shown), strict=True))
    assert not {line: found[line] for line, word in offered.items() if word not in found[line]}, done.stderr


def test_bash_completes_within_a_third_of_a_second_of_cpu_and_without_torch(program):
    line = 'source <(fmcycle completion bash); COMP_WORDS=(fmcycle finetune model = llama_); COMP_CWORD=4; _fmcycle; echo "${COMPREPLY[@]}"'
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["bash", "-c", line], env=program, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.split() == [name for name in groups.options("model") if name.startswith("llama_")], done.stderr
    assert after.ru_utime - before.ru_utime < 2 * 0.3  # the script, and one TAB
    code = "import sys; from fmcycle.cli import main; main.main(['completion', 'bash', 'fmcycle\\nfinetune\\n']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], env=program | {"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True)
    assert "fmcycle.cli.completion" in loaded.stdout and not {"torch", "hydra", "transformers"} & set(loaded.stdout.split())


def test_every_verb_flag_group_and_option_is_offered(project):
    assert {*completion.offers([""])} >= {name for name, each in verbs.parsers().items() if each.get_default("group")}
    for stage in groups.stages():
        assert {*completion.offers([stage, "--"])} == {
            name for each in verbs.parser(stage)._actions for name in each.option_strings if name[1] == "-"
        }
        offered = completion.offers([stage, ""])
        assert {f"{place}=" for place in groups.defaults("stage", stage)} < {*offered}
        for word in offered:
            place = word.rstrip("=").partition("@")[0]
            if word.endswith("=") and place in groups.names() and place != "experiment":
                assert completion.offers([stage, word]) == sorted(f"{word}{option}" for option in groups.options(place))
    found = {name for stage in groups.stages() for name in completion.offers([stage, "experiment="])}
    assert found == {f"experiment={name}" for name in groups.options("experiment")}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["plan", "ali"], ["align"]),
        (["plan", "align", "optimizer=mu"], ["optimizer=muon"]),
        (["finetune", "optimizer=muon", "optimizer.mom"], ["optimizer.momentum="]),
        (["collect", "+source@source.mine=loc"], ["+source@source.mine=local"]),
        (["curate", "curation=[web,bur"], ["curation=[web,burst"]),
        (["finetune", "strategy=lora,fu"], ["strategy=lora,full"]),
        (["feedback", ""], ["export"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["evaluate", "nonsense=x"], []),
        (["evaluate", "inputs.model.deeper.x"], []),
    ],
)
def test_words_that_stand_behind_others(line, offered, project):
    assert completion.offers(line) == offered


def test_the_user_s_own_options_are_offered(project):
    Path("conf/model/mine.yaml").write_text("_target_: transformers.GPT2LMHeadModel\n")
    assert completion.offers(["finetune", "model=mi"]) == ["model=mine", "model=minilm"]


@pytest.mark.parametrize("words", ["", "fmcycle", "fmcycle\n", "nothing of ours"])
def test_words_of_any_form_end_without_a_traceback(words, project, capsys):
    from fmcycle.cli import main

    assert main.main(["completion", "bash", words]) == 0
    assert "finetune" in capsys.readouterr().out
