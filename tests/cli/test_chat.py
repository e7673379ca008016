"""`fmcycle chat`: a conversation on the terminal or with the lines of a pipe, through the server's own pipeline."""

import json
import os
import shutil
import signal

import families
import pytest

from fmcycle.cli import chat, model_folder
from fmcycle.engine.transformers import Transformers
from fmcycle.errors import InputError
from fmcycle.python.calls import ask
from fmcycle.serving.pipeline import Pipeline


@pytest.fixture(scope="module")
def engine(material):
    return Transformers(str(material / "model"))


def talk(engine, guardrail=None, **options) -> chat.Chat:
    return chat.Chat(Pipeline(engine, guardrail or {}), {"max_tokens": 8} | options)


def test_a_pipe_gets_an_answer_for_each_line(project, material, fmcycle):
    lines = "What does str do?\n\n/system Be short.\nWhat does dict.pop do?\n/nonsense\n/quit\nNever asked.\n"
    done = fmcycle("chat", str(material / "model"), "guardrail=none", "--max-tokens", "2", input=lines)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    first, second = done.stdout.splitlines()
    assert first.endswith("[cut at the limit of 2 tokens; --max-tokens N allows more]") and second.strip()
    assert "/nonsense: no such command; /reset begins anew" in done.stderr
    assert not (project / "runs").exists()


def test_the_answer_is_that_of_python_and_of_the_server(material, engine, capsys):
    talk(engine).turn("What does str do?")
    assert capsys.readouterr().out.partition(" [cut")[0].strip() == ask(material / "model", "What does str do?", max_tokens=8)


def test_turns_are_remembered_until_a_reset(engine, capsys):
    chatting = talk(engine)
    chatting.turn("/system Be short.")
    chatting.turn("What does str do?")
    chatting.turn("And int?")
    assert [message["role"] for message in chatting.messages] == ["system", "user", "assistant", "user", "assistant"]
    chatting.turn("/reset")
    assert chatting.messages == [{"role": "system", "content": "Be short."}]
    chatting.turn("/system")
    assert chatting.messages == []


def test_ctrl_c_ends_an_answer_and_not_the_conversation(engine, capsys):
    def interrupting(text: str) -> str:
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return text

    sent: list = []
    chatting = talk(engine, {"output": [interrupting]}, max_tokens=60)
    chatting.turn("What does str do?")
    assert capsys.readouterr().out.endswith(" [stopped]\n")
    chatting.turn("And int?")
    assert "[stopped]" not in capsys.readouterr().out and chatting.messages[-1]["role"] == "assistant"


def test_what_a_guard_refuses_leaves_the_conversation(engine, capsys):
    from fmcycle.guardrail.refuse import Refuse

    chatting = talk(engine, {"input": [Refuse(patterns=["steal"])]})
    chatting.turn("How do I steal a car?")
    assert capsys.readouterr().out.strip() and chatting.messages == []


def test_a_conversation_beyond_the_context_says_so(engine, capsys):
    chatting = talk(engine)
    chatting.turn("str " * 200)
    assert "leave no room for an answer" in capsys.readouterr().out and chatting.messages == []


def test_guards_are_those_of_the_package_or_of_the_config(project, material):
    folder, nodes = model_folder.served(material / "model")
    assert folder == material / "model" and nodes["guardrail"]["input"] and nodes["engine"]["_target_"].endswith("Transformers")
    assert model_folder.served(material / "model", "guardrail=none", "engine.batch=2")[1]["engine"]["batch"] == 2
    assert not any(model_folder.served(material / "model", "guardrail=none")[1]["guardrail"].values())


def test_a_model_that_does_not_chat_is_refused_with_the_reason(project, material, fmcycle):
    shutil.copytree(material / "model", "plain")
    for name in ("chat_template.jinja", "manifest.json"):
        (project / "plain" / name).unlink()
    config = json.loads((project / "plain/tokenizer_config.json").read_text())
    (project / "plain/tokenizer_config.json").write_text(
        json.dumps({key: value for key, value in config.items() if key != "chat_template"})
    )
    families.save("text_classifier", project / "classifier")
    for name, why in (("plain", "its tokenizer has no chat template"), ("classifier", "it does classify")):
        with pytest.raises(InputError, match=rf"{name} does not chat: {why}; `fmcycle serve {name}` has a page"):
            chat.main([name])
    for words, said in (
        (["chat"], "the following arguments are required: MODEL"),
        (["chat", "modl"], "modl: is not there"),
        (["chat", "plain", "--max-tokens", "0"], "takes a whole number from 1 on"),
        (["chat", "plain", "guardrail=nun"], "did you mean none"),
    ):
        done = fmcycle(*words, input="")
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
