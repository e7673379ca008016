"""Which names a config node may build: those in its noun's modules that have its noun's signature, read from source without imports."""

from dataclasses import dataclass

from fmcycle.config import build, library, signature


@dataclass(frozen=True)
class Noun:
    """The kind of node that stands below one key of a config.

    rooms: modules or packages of fmcycle that define its nodes; parts: those that define the nodes inside them; others: prefixes of the
    third-party names that it may build. what: its description. call: the methods that a stage calls on its objects, `name(parameters)`,
    or `(parameters)` for the object itself; "" for plain values. CALLS has the forms of its functions.
    test: its contract test; section: the heading in CONTRIBUTING on how to add one.
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
STAGE = Noun(
    ("stage",), what="one step of the lifecycle, which reads folders and writes one", call="run(cfg) -> metrics or None", section="A stage"
)
NOUNS = {
    "budget": Noun(("training.budget",), what="amount of training: steps, batch, precision, seed, learning-rate schedule"),
    "compress": Noun(("compress",), what="compression method, applied before evaluation", test="tests/compress/test_contract.py"),
    "curation": Noun(
        ("curation",),
        what="curation steps, which drop or rewrite documents; single steps and lists of them",
        call="sketch(frame), settle(frame), verdicts(settled, fetch)",
        test="tests/curation/test_contract.py",
        section="A curation step",
    ),
    "data": Noun(
        ("data",),
        ROWS,
        what="training dataset, with the format that turns a row into tensors",
        call="(split, processor) -> fmcycle.data.protocol.Rows",
        test="tests/data/test_contract.py",
        section="A dataset",
    ),
    "engine": Noun(
        ("engine",),
        what="inference engine of a served package, made with (folder, device, dtype)",
        call="warm_up()",
        test="tests/engine/test_protocol.py",
        section="An engine",
    ),
    "evaluation": Noun(
        ("evaluation",),
        ("evaluation", "guardrail", *ROWS),
        what="metrics of a model",
        call="(model, processor) -> {metric: value, metric/low, metric/high, metric/n}",
        test="tests/evaluation/test_contract.py",
        section="A metric",
    ),
    "executor": Noun(
        ("executor",), what="parallel execution of curation", call="map(function, items) -> iterator", test="tests/executor/test_local.py"
    ),
    "gate": Noun(("gate",), what="bounds on metrics that a package must meet"),
    "guardrail": Noun(
        ("guardrail",),
        what="checks on the prompts and answers of a served model",
        call="(text) -> text, or raises Refused",
        test="tests/guardrail/test_contract.py",
        section="A guard",
    ),
    "licence": Noun(("licence",), what="licences that training data may have"),
    "limit": Noun(("cost.step_cost",), what="upper bounds on the memory, time and money of a run"),
    "logger": Noun(("tracking.trackio",), others=("lightning.pytorch.loggers.",), what="experiment loggers, beside the run's own page"),
    "model": Noun(("model",), ("model",), ("transformers.", "diffusers."), what="new or pretrained model", section="A model"),
    "monitor": Noun(
        ("monitor",),
        what="drift and quality checks on a window of traffic",
        call="(reference, window) -> {value, low, high, bound, n, alarm, what}",
        test="tests/monitor/test_contract.py",
        section="A monitor",
    ),
    "objective": Noun(
        ("objective",),
        ("objective",),
        what="training loss",
        call='(model, batch) -> {"loss": sum, "count": n, metric: sum}',
        test="tests/objective/test_contract.py",
        section="An objective",
    ),
    "optimizer": Noun(("optimizer",), (), ("torch.optim.",), what="update rule of the weights", test="tests/optimizer/test_contract.py"),
    "price": Noun(("cost.step_cost",), what="price of a device hour, for plans and limits"),
    "processor": Noun(
        ("processor",),
        what="tokenizer, image or audio processor, and the formats of rows",
        test="tests/processor/test_contract.py",
        section="A processor",
    ),
    "source": Noun(("source",), ("source",), what="source of raw data", test="tests/stage/test_collect.py", section="A source"),
    "space": Noun(("search",), what="range of a searched setting", call="(trial, name) -> value", test="tests/search/test_space.py"),
    "strategy": Noun(
        ("strategy",), (), ("peft.",), what="which weights are trained", test="tests/strategy/test_contract.py", section="A strategy"
    ),
    "trainer": Noun(("training.trainer",), what="device, precision, micro-batch; never in identity", test="tests/training/test_trainer.py"),
}
NOUNS |= dict.fromkeys(("judge", "confirm", "sample"), NOUNS["evaluation"])
NOUNS |= dict.fromkeys(("conversation", "contamination", "split"), NOUNS["curation"]) | {"collection": NOUNS["source"]}

SERVED = ("folder", "device", "dtype")  # arguments of an engine that the server gives, not its config
ARCHIVES = ("*archives",)  # as many wheels as the source names
# module -> {positional parameters of its functions, which the stage passes: return type}; the config gives the keyword parameters
CALLS: dict[str, dict[tuple[str, ...], str]] = {
    "compress": {("source", "folder"): "None"},
    "curation": {("frame",): "pl.DataFrame"},
    "data": {(): "list"},
    "optimizer": {("model",): "torch.optim.Optimizer"},
    "processor": {("texts",): "", ("row", "processor"): "dict", ("processor", "messages"): "list[int]"},
    "source": {("folder",): "None", ARCHIVES: "dict"},
    "strategy": {("model",): "nn.Module"},
}
AT_ONCE = "model"  # a function here that has its module's name is called when the config is built, with the config's arguments alone


def problem(target: str, node: dict, noun: Noun | None, inside: bool = False) -> str | None:
    """Return why a node may not build `target`; None if it may. noun: None at the root of a stage; inside: within a node of the noun."""
    if target.split(".")[0] in build.user_packages():
        return None
    if library.parameters(target) is not None:
        return None if noun and target.startswith(noun.others or ("-",)) else _elsewhere(target, noun, inside)
    module, _, name = target.removeprefix("fmcycle.").rpartition(".")
    if noun is None:
        return None if module.startswith("stage.") and name == "run" else f"a stage is fmcycle.stage.NAME.run, not {target}"
    if name == "example":
        return f"{target} makes a sample for tests; a config may not build it"
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
    """Return why a config may not use `target` of `room`: it is no callable object, or a function with the wrong parameters."""
    if not found.function:
        if room == "engine" and not node.get("_partial_"):
            return f"{target} gets the model's folder from the server: add _partial_: true"
        if room == "engine" and found.parameters and "folder" not in found.parameters:
            return f"{target} is an internal class; an engine is made from the model's `folder`"
        if room == "engine" and (bad := [name for name in SERVED if name in node]):
            return f"{bad[0]} of {target} comes from the server, not from a config: take it out"
        return None if found.plugs else f"{target} is an internal class; a config builds dataclasses and callable objects"
    if room == AT_ONCE:
        module, _, name = target.rpartition(".")
        if not module.endswith(f".{name}"):
            return f"{target} is an internal function; configs build functions that have their module's name"
        return f"{target} returns the model itself: take _partial_ out" if node.get("_partial_") else None
    given = ARCHIVES if found.positional and all(p.kind == "Archive" for p in found.positional.values()) else tuple(found.positional)
    forms = CALLS.get(room, {})
    if given not in forms or not (found.returns or forms[given]).startswith(forms[given]):
        said = " or ".join(f"({', '.join([*form, '*', '...'])}){f' -> {kind}' if kind else ''}" for form, kind in forms.items())
        wanted = f"configs build functions of the form {said}" if forms else "configs build classes here"
        return f"{target}({', '.join(found.positional)}) is an internal function; {wanted}"
    if bad := [name for name in node if name in found.positional]:
        return f"{bad[0]} of {target} comes from the stage, not from a config: take it out"
    return None if node.get("_partial_") else f"{target} is called by the stage: add _partial_: true"


def problems(node, key: str, noun: Noun, inside: bool = False) -> list[str]:
    """Return why the nodes of plain data below `key` may not be built, one line each; names that no config may build included."""
    if isinstance(node, list):
        return [line for index, item in enumerate(node) for line in problems(item, f"{key}.{index}", noun, inside)]
    if not isinstance(node, dict):
        return []
    found, target = [], node.get("_target_")
    if "_target_" in node:
        if not isinstance(target, str) or not build.allowed(target):
            found.append(f"{key}: {target} may not be built")
        elif wrong := problem(target, node, noun, inside):
            found.append(f"{key}: {wrong}")
        elif signature.read(target) is None:
            found.append(f"{key}: there is no {target}")
    return found + [line for name, item in node.items() for line in problems(item, f"{key}.{name}", noun, inside or "_target_" in node)]
