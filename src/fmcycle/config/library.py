"""Third-party names that a config may build: allowed by rule, their parameters read from the installed source without importing it."""

import functools
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.config import library_source
from fmcycle.config.library_source import Rule

RULES = (
    Rule("transformers", "models/*/modeling_*.py", "PreTrainedModel", r"(Timm|Mra|Yoso|Rwkv|Sam3Video)\w*|\w+(PreTrainedModel|Config)"),
    Rule("transformers", "models/*/configuration_*.py", "PreTrainedConfig", r"Timm\w*|(?!\w+Config$).*"),
    Rule("diffusers", "models/**/*.py", "ModelMixin", "ModelMixin|AutoModel"),
    Rule("diffusers", "schedulers/*.py", "SchedulerMixin", "SchedulerMixin"),
    Rule("peft", "tuners/**/config.py", "", r"XLoraConfig|(?!\w+Config$).*"),
    Rule("peft", "mapping_func.py", "get_peft_model"),
    Rule("lightning.pytorch.loggers", "*.py", "Logger", "Logger"),
    Rule("lightning.pytorch", "trainer/trainer.py", "Trainer"),
    Rule("torch.optim", "*.py", "Optimizer", "Optimizer"),
)
# Keys by which these libraries load code, weights or files; refused anywhere in a node, nested configs included.
CLOSED = re.compile(
    r"auto_map(ping)?|trust_remote_code|code_revision|custom_\w+|\w*name_or_path|(\w+_)?(path|file|dir)s?|extra_\w*files|pretrained_cfg|"
    r"tokenizer_kwargs|adapters|shadow_model|megatron_\w+|\w*backbone(_kwargs)?|\w*(attn|experts)_implementation\w*|quantization_config"
)
CLOSED_WHY = "names code, weights or files that the library would load; take it out"
PACKAGES = {"fmcycle.tracking.trackio.Trackio": "trackio"}  # loggers of fmcycle: the package of each
TIMM = re.compile("timm_.*")  # model_type of a nested config: timm would build the model by this name


def rules(target: str) -> list[Rule]:
    """Return the rules of the package that a dotted name begins with."""
    package, _, name = target.rpartition(".")
    return [rule for rule in RULES if rule.package == package and name.isidentifier() and not re.fullmatch(rule.but, name)]


def parameters(target: str) -> dict[str, str] | None:
    """Return {parameter: type} of a name that a config may build, with "**" if it takes any further name; None for any other name.

    The parameters of a transformers model are the fields of its config. Reads the cache, else the source; `keep` writes the cache.
    """
    if not rules(target):
        return None
    known = _kept().setdefault(_release(target.partition(".")[0]), {})
    if target not in known:
        _say()
        read = (library_source.read(rule, target.rpartition(".")[2]) for rule in rules(target))
        known[target] = next((found for found in read if found is not None), None)
        _fresh.add(target)
    return known[target]


def names(target: str) -> list[str]:
    """Return the names that may be meant by one that is not allowed: all that the rules of its library allow."""
    found = []
    for rule in (each for each in RULES if each.package.partition(".")[0] == target.partition(".")[0]):
        for text in (file.read_text() for file in rule.folder.glob(rule.files)):
            every = re.findall(r"^(?:class|def) ([A-Z]\w+|get_peft_model)\b", text, re.M)
            found += [f"{rule.package}.{name}" for name in every if not re.fullmatch(rule.but, name) and rule.exports(name, text)]
    return found


def closed(node, key: str = "") -> list[str]:
    """Return the dotted keys of a node, and of plain mappings in it, by which a library would load code, weights or files."""
    if isinstance(node, list):
        return [found for index, item in enumerate(node) for found in closed(item, f"{key}{index}.")]
    if not isinstance(node, dict) or (key and "_target_" in node):
        return []
    own = [f"{key}{name}" for name in node if CLOSED.fullmatch(str(name))]
    own += [f"{key}model_type"] if TIMM.fullmatch(str(node.get("model_type"))) else []
    return own + [found for name, item in node.items() for found in closed(item, f"{key}{name}.")]


def permits(target: str, thing) -> bool:
    """True if a rule allows the imported `thing`. Checked before it is built: the cache knows only the parameters of a name."""
    ancestors = {kind.__name__ for kind in getattr(thing, "__mro__", (thing,))}
    module = str(getattr(thing, "__module__", ""))
    return any(re.fullmatch(rule.module, module) and (not rule.base or rule.base in ancestors) for rule in rules(target))


def missing(target: str) -> str:
    """Return the package that a logger needs and that is not installed; "" if there is none."""
    if (own := PACKAGES.get(target)) and not importlib.util.find_spec(own):
        return own
    name = target.rpartition(".")[2]
    for rule in (each for each in rules(target) if each.base == "Logger"):
        for text in (file.read_text() for file in rule.folder.glob(rule.files)):
            needed = re.search(r'RequirementCache\("([\w.-]+)[^"]*"(?:, (?:module=)?"(\w+)")?', text)
            if needed and re.search(rf"^class {name}\b", text, re.M) and not importlib.util.find_spec(needed[2] or needed[1]):
                return needed[1]
    return ""


_fresh: set[str] = set()  # read by this process and not yet written


def cache() -> Path:
    """Return the file that caches signatures: in $FMCYCLE_CACHE, else in `.cache` of the working folder."""
    return Path(os.environ.get("FMCYCLE_CACHE") or ".cache") / "signatures.json"


@functools.cache
def _kept() -> dict[str, dict]:
    """Return {library and version: {name: parameters, or None for a name that is not allowed}}; {} if the file is damaged or missing."""
    try:
        found = json.loads(cache().read_text())
        whole = all(kinds is None or set(map(type, kinds.values())) <= {str} for held in found.values() for kinds in held.values())
    except (OSError, ValueError, AttributeError):
        return {}
    return found if whole else {}


@functools.cache
def _release(library: str) -> str:
    from importlib import metadata  # imported late: it takes a third of the time of --help

    return f"{library} {metadata.version(library)}"


@functools.cache
def _say() -> None:
    if not cache().is_file():
        found = ", ".join(_release(each) for each in ("transformers", "peft", "diffusers", "lightning", "torch"))
        print(f"reading the names that configs may build from the source of {found}; cached in {cache()}", file=sys.stderr, flush=True)


def keep() -> None:
    """Write the signatures that this process read into the cache, if it is writable; drop those of other versions."""
    if not _fresh:
        return
    _fresh.clear()
    installed = {_release(rule.package.partition(".")[0]) for rule in RULES}
    try:
        atomic.write_json(cache(), {name: held for name, held in _kept().items() if name in installed})
    except OSError:  # a read-only folder: the next command reads the source again
        return
