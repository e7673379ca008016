"""From a hub and back: a model and rows of a hub on this machine are fine-tuned, evaluated and pushed with card and provenance."""

import json
import shutil

import pytest
import yaml
from hub_server import TOKEN

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import hub as ours
from fmcycle.cli import command_line, push
from fmcycle.config.compose import compose
from fmcycle.errors import InputError
from fmcycle.runner.run import perform

ROWS = [
    {"question": f"Where is jar {number}?", "answer": f"On shelf {number * 3}, behind the {('red', 'blue')[number % 2]} door."}
    for number in range(60)
]
SMALL = ("budget.max_steps=2", "budget.global_batch=4", "budget.validate_every=0", "data.max_length=96", "strategy=full")


def files_of(folder) -> dict[str, bytes]:
    names = [file for file in folder.iterdir() if file.name != "manifest.json"]
    return {file.name: file.read_bytes() for file in names}


def served(hub, material, card: str = "---\nlicense: apache-2.0\n---\nTiny.\n") -> str:
    return hub.add("models", "me/tiny", files_of(material / "model") | {"README.md": card.encode()})


def made(*words: str) -> None:
    perform(compose(command_line.expand([*words])[1]))


def refusal(*words: str) -> str:
    with pytest.raises(InputError) as error:
        push.main([*words])
    return str(error.value)


def test_a_model_comes_from_the_hub_and_goes_back(hub, project, material, capfd, monkeypatch):
    model = served(hub, material)
    rows = hub.add(
        "datasets", "me/rows", {"train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS), "README.md": "---\nlicense: mit\n---\n"}
    )
    made("stage=finetune", f"model=hub:me/tiny@{model}", f"data=hub:me/rows@{rows}", *SMALL, "out=runs/mine")
    made("stage=evaluate", "model=runs/mine", f"inputs.instructions=hub:me/rows@{rows}", "evaluation=[instruction]", "out=runs/measured")
    figures = json.loads((project / "runs/measured/metrics.json").read_text())
    capfd.readouterr()
    push.main(["runs/mine", "hub:me/tuned", "--dry-run"])
    assert "base_model: me/tiny" in capfd.readouterr().out and ("models", "me/tuned") not in hub.repositories
    assert "set HF_TOKEN, or run `hf auth login`" in refusal("runs/mine", "hub:me/tuned")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push.main(["runs/mine", "hub:me/tuned"])
    pushed = capfd.readouterr().out
    there = hub.repositories["models", "me/tuned"]
    commit = there.refs["main"]
    assert f"runs/mine -> hub:me/tuned@{commit}, licence apache-2.0" in pushed
    files = there.commits[commit]
    assert files["model.safetensors"] == (project / "runs/mine/model/model.safetensors").read_bytes()
    head, body = files["README.md"].decode().split("---\n", 2)[1:]
    about = yaml.safe_load(head)
    assert about["license"] == "apache-2.0" and about["base_model"] == "me/tiny" and about["datasets"] == ["me/rows"]
    assert f"made of hub:me/tiny@{model}" in body and "| me--rows | mit |" in body and "| finetune | SFT | full |" in body
    assert f"| rouge_l | {figures['rouge_l']:.4g} | {figures['rouge_l/low']:.4g} to" in body
    told = files["provenance.json"].decode()
    assert [entry["stage"] for entry in json.loads(told)] == ["finetune", "curate"]
    everything = b"".join(files.values()) + "".join(file.read_text() for file in (project / "runs").rglob("*.json")).encode()
    assert hub.address.encode() not in everything and TOKEN.encode() not in everything and str(project) not in told
    monkeypatch.delenv("HF_TOKEN")
    again = ours.fetched(f"hub:me/tuned@{commit}", "model")
    assert artifact.verify(again) and (again / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_what_may_not_be_passed_on_is_refused(hub, project, material, fmcycle, monkeypatch):
    shutil.copytree(material / "model", project / "own")
    assert "nobody said under which licence it may be passed on; give --licence=NAME" in refusal("own", "hub:me/x")
    assert "a push goes to hub:OWNER/NAME, or to a branch of it" in refusal("own", "hub:me/x@" + "0" * 40)
    assert "not of the form hub:OWNER/NAME" in refusal("own", "me/x", "--licence=mit")
    assert "is not there" in refusal("nowhere", "hub:me/x")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv(ours.CLOSED, raising=False)
    assert "HF_HUB_OFFLINE is set, so nothing can be written to the hub" in refusal("own", "hub:me/x", "--licence=mit")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with open(project / "own/model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert "manifest says" in refusal("own", "hub:me/x", "--licence=mit", "--dry-run")
    (project / "own/manifest.json").unlink()
    refused = fmcycle("push", "own", "hub:me/x", "--licence=mit")
    assert (
        refused.returncode == 2 and "has no manifest, so fmcycle did not write it" in refused.stderr and "Traceback" not in refused.stderr
    )
    assert not hub.requests


@pytest.mark.parametrize(
    ("licence", "said", "why"),
    [
        ("cc-by-nd-4.0", None, "forbids to pass on what was changed"),
        ("cc-by-nc-4.0", "mit", "must be passed on under its own terms, not mit"),
    ],
)
def test_the_base_s_licence_binds(hub, project, material, monkeypatch, licence, said, why):
    served(hub, material, f"---\nlicense: {licence}\n---\n")
    story = push.Story(material / "model")
    story.bases = {"hub:me/tiny": ours.fetched("hub:me/tiny", "model")}
    with pytest.raises(InputError, match=why):
        story.licence(said)
