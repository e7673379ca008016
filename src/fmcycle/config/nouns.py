"""What a node of a config may build: names of its own noun's rooms, called as that noun is called; told from the source, not imported."""

from dataclasses import dataclass

from fmcycle.config import build, library, signature


@dataclass(frozen=True)
class Noun:
    """What stands below one key of a config.

    rooms: modules or packages of fmcycle that the node itself is built from; parts: those of the nodes inside it;
    others: how the third-party names begin that it may build. what: what it decides. call: what is asked of its objects, `name(parameters)`
    or `(parameters)` for the object itself, all given by the stage; "" for plain values. Its functions have the forms of CALLS.
    test: the file that holds its options to this; section: of CONTRIBUTING, how to add one.
    """

    rooms: tuple[str, ...]
    parts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    what: str = ""
    call: str = ""
    test: str = "tests/test_conf.py"
    section: str = ""


ROWS = ("data", "processor")
SECTIONS = "candidates"  # {name: a section of train}
STAGE = Noun(("stage",), what="what runs: reads folders, writes one", call="run(cfg) -> metrics or None", section="A stage")
NOUNS = {
    "budget": Noun(("training.budget",), what="how much: steps, batch, precision, seed, schedule"),
    "compress": Noun(("compress",), what="what is made smaller before it is evaluated", test="tests/stage/test_compress.py"),
    "curation": Noun(
        ("curation",),
        what="which documents stay; single steps and lists of them",
        call="sketch(frame), settle(frame), verdicts(settled, fetch)",
        test="tests/curation/test_contract.py",
        section="A curation step",
    ),
    "data": Noun(
        ("data",),
        ROWS,
        what="what a training stage reads, and how a row becomes tensors",
        call="(split, processor) -> fmcycle.data.protocol.Rows",
        test="tests/data/test_contract.py",
        section="A dataset",
    ),
    "engine": Noun(
        ("engine",),
        what="what generates when a package is served; made with (folder, device, dtype)",
        call="warm_up()",
        test="tests/engine/test_protocol.py",
        section="An engine",
    ),
    "evaluation": Noun(
        ("evaluation",),
        ("evaluation", *ROWS),
        what="what is measured",
        call="(model, processor) -> {metric: value, metric/low, metric/high, metric/n}",
        test="tests/evaluation/test_evaluations_elsewhere.py",
        section="A metric",
    ),
    "executor": Noun(
        ("executor",), what="where curation runs", call="map(function, items) -> iterator", test="tests/executor/test_local.py"
    ),
    "gate": Noun(("gate",), what="the bounds that a package must hold"),
    "guardrail": Noun(
        ("guardrail",),
        what="what may go in and out of the served model",
        call="(text) -> text, or raises Refused",
        test="tests/guardrail/test_contract.py",
        section="A guard",
    ),
    "licence": Noun(("licence",), what="which licences may enter a mix"),
    "limit": Noun(("cost.step_cost",), what="the most that a run may take"),
    "logger": Noun((), others=("lightning.pytorch.loggers.",), what="where a run's figures go, beside its own page"),
    "model": Noun(("model",), ("model",), ("transformers.", "diffusers."), what="what computes", section="A model"),
    "monitor": Noun(
        ("monitor",),
        what="what is looked for in a window of traffic",
        call="(reference, window) -> {value, low, high, bound, n, alarm, what}",
        test="tests/monitor/test_contract.py",
        section="A monitor",
    ),
    "objective": Noun(
        ("objective",),
        ("objective",),
        what="what the weights move toward",
        call='(model, batch) -> {"loss": sum, "count": n, metric: sum}',
        test="tests/objective/test_contract.py",
        section="An objective",
    ),
    "optimizer": Noun(("optimizer",), (), ("torch.optim.",), what="how they move", test="tests/optimizer/test_contract.py"),
    "price": Noun(("cost.step_cost",), what="what a device costs, for plans and limits"),
    "processor": Noun(
        ("processor",),
        what="how text, pictures and sound become tensors",
        test="tests/processor/test_contract.py",
        section="A processor",
    ),
    "source": Noun(("source",), ("source",), what="where raw data comes from", test="tests/stage/test_collect.py", section="A source"),
    "space": Noun(("search",), what="what a trial of select draws", call="(trial, name) -> value", test="tests/search/test_space.py"),
    "strategy": Noun(
        ("strategy",), (), ("peft.",), what="which weights move", test="tests/strategy/test_contract.py", section="A strategy"
    ),
    "trainer": Noun(("training.trainer",), what="where training runs; never part of identity", test="tests/training/test_trainer.py"),
}
NOUNS |= dict.fromkeys(("judge", "confirm", "sample"), NOUNS["evaluation"])
NOUNS |= dict.fromkeys(("conversation", "contamination", "split"), NOUNS["curation"]) | {"collection": NOUNS["source"]}

SERVED = ("folder", "device", "dtype")  # what an engine is given beside what its config says
ARCHIVES = ("*archives",)  # as many wheels as the source names
# room -> {positional parameters of its functions, which the stage gives: what they return}; what a config gives stands behind, by keyword
CALLS: dict[str, dict[tuple[str, ...], str]] = {
    "compress": {("source", "folder"): "None"},
    "curation": {("frame",): "pl.DataFrame"},
    "data": {(): "list"},
    "optimizer": {("model",): "torch.optim.Optimizer"},
    "processor": {("texts",): "", ("row", "processor"): "dict", ("processor", "messages"): "list[int]"},
    "source": {("folder",): "None", ARCHIVES: "dict"},
    "strategy": {("model",): "nn.Module"},
}
AT_ONCE = "model"  # the room whose functions make the thing itself, of what the config gives: those that bear their module's name


def problem(target: str, node: dict, noun: Noun | None, inside: bool = False) -> str | None:
    """Why a node may not build `target`; None if it may. noun: None at the root of a stage; inside: within another node of the noun."""
    if target.split(".")[0] in build.user_packages():
        return None
    if library.parameters(target) is not None:
        return None if noun and target.startswith(noun.others or ("-",)) else _elsewhere(target, noun, inside)
    module, _, name = target.removeprefix("fmcycle.").rpartition(".")
    if noun is None:
        return None if module.startswith("stage.") and name == "run" else f"a stage is fmcycle.stage.NAME.run, not {target}"
    if name == "example":
        return f"{target} makes a sample for tests; a config builds none"
    room = next((room for room in (noun.parts if inside else noun.rooms) if module == room or module.startswith(f"{room}.")), None)
    if room is None or name.startswith("_"):
        return _elsewhere(target, noun, inside)
    found = signature.read(target)
    return None if found is None else _misused(target, node, room.rpartition(".")[2], found)


def _elsewhere(target: str, noun: Noun | None, inside: bool) -> str:
    rooms = [f"fmcycle.{room}" for room in (noun.parts if inside else noun.rooms)] if noun else ["fmcycle.stage.NAME.run"]
    there = [*rooms, *(f"{prefix}*" for prefix in noun.others if not inside or noun.parts)] if noun else rooms
    names = f"names of {', '.join(there)}" if there else "nothing"
    return f"{target} is not for this key, which builds {names}"


def _misused(target: str, node: dict, room: str, found: signature.Signature) -> str | None:
    """Why `target` is none of what a room offers to configs: an object that is called, or a function with the room's own parameters."""
    if not found.function:
        if room == "engine" and not node.get("_partial_"):
            return f"{target} is given the model's folder by whoever serves it: add _partial_: true"
        if room == "engine" and found.parameters and "folder" not in found.parameters:
            return f"{target} is a class of the inside; an engine is made from the model's `folder`"
        if room == "engine" and (bad := [name for name in SERVED if name in node]):
            return f"{bad[0]} of {target} is given by whoever serves it, not by a config: take it out"
        return None if found.plugs else f"{target} is a class of the inside; a config builds dataclasses and what can be called"
    if room == AT_ONCE:
        module, _, name = target.rpartition(".")
        if not module.endswith(f".{name}"):
            return f"{target} is a function of the inside; configs build functions that bear their module's name"
        return f"{target} makes the thing itself: take _partial_ out" if node.get("_partial_") else None
    given = ARCHIVES if found.positional and all(p.kind == "Archive" for p in found.positional.values()) else tuple(found.positional)
    forms = CALLS.get(room, {})
    if given not in forms or not (found.returns or forms[given]).startswith(forms[given]):
        said = " or ".join(f"({', '.join([*form, '*', '...'])}){f' -> {kind}' if kind else ''}" for form, kind in forms.items())
        wanted = f"configs build functions of the form {said}" if forms else "configs build classes here"
        return f"{target}({', '.join(found.positional)}) is a function of the inside; {wanted}"
    if bad := [name for name in node if name in found.positional]:
        return f"{bad[0]} of {target} is given by the stage, not by a config: take it out"
    return None if node.get("_partial_") else f"{target} is called by the stage: add _partial_: true"


def problems(node, key: str, noun: Noun, inside: bool = False) -> list[str]:
    """Why the nodes of plain data below `key` may not be built, one line each; names that are not on the list of any config too."""
    if isinstance(node, list):
        return [line for index, item in enumerate(node) for line in problems(item, f"{key}.{index}", noun, inside)]
    if not isinstance(node, dict):
        return []
    found, target = [], node.get("_target_")
    if "_target_" in node:
        if not isinstance(target, str) or not build.allowed(target):
            found.append(f"{key}: {target} is not a name that may be built")
        elif wrong := problem(target, node, noun, inside):
            found.append(f"{key}: {wrong}")
        elif signature.read(target) is None:
            found.append(f"{key}: there is no {target}")
    return found + [line for name, item in node.items() for line in problems(item, f"{key}.{name}", noun, inside or "_target_" in node)]
