"""Names of other libraries that a config may build: allowed by rule, their parameters read from the installed source, never imported."""

import functools
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
# Keys by which these libraries load code, weights or files, wherever they stand in a node: in a nested config too.
CLOSED = re.compile(
    r"auto_map(ping)?|trust_remote_code|code_revision|custom_\w+|\w*name_or_path|(\w+_)?(path|file|dir)s?|extra_\w*files|pretrained_cfg|"
    r"tokenizer_kwargs|adapters|shadow_model|megatron_\w+|\w*backbone(_kwargs)?|\w*(attn|experts)_implementation\w*|quantization_config"
)
CLOSED_WHY = "names code, weights or files that the library would load; take it out"
TIMM = re.compile("timm_.*")  # a nested config's model_type: models that another library makes by name


def rules(target: str) -> list[Rule]:
    """The rules of the package that a dotted name begins with."""
    package, _, name = target.rpartition(".")
    return [rule for rule in RULES if rule.package == package and name.isidentifier() and not re.fullmatch(rule.but, name)]


def parameters(target: str) -> dict[str, str] | None:
    """{parameter: type} of a name that a config may build, "**" for any further; None for any other name.

    A transformers model's are the fields of its config. From the cache, or from the source; `keep` writes what was read.
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
    """What may be meant by a name that is not allowed: all that the rules of its library allow, by the source."""
    found = []
    for rule in (each for each in RULES if each.package.partition(".")[0] == target.partition(".")[0]):
        for text in (file.read_text() for file in rule.folder.glob(rule.files)):
            every = re.findall(r"^(?:class|def) ([A-Z]\w+|get_peft_model)\b", text, re.M)
            found += [f"{rule.package}.{name}" for name in every if not re.fullmatch(rule.but, name) and rule.exports(name, text)]
    return found


def closed(node, key: str = "") -> list[str]:
    """Dotted keys of a node, and of plain mappings in it, by which a library would load code, weights or files."""
    if isinstance(node, list):
        return [found for index, item in enumerate(node) for found in closed(item, f"{key}{index}.")]
    if not isinstance(node, dict) or (key and "_target_" in node):
        return []
    own = [f"{key}{name}" for name in node if CLOSED.fullmatch(str(name))]
    own += [f"{key}model_type"] if TIMM.fullmatch(str(node.get("model_type"))) else []
    return own + [found for name, item in node.items() for found in closed(item, f"{key}{name}.")]


def permits(target: str, thing) -> bool:
    """Is the imported `thing` what a rule allows? The cache only says which parameters a name has; this is asked before it is built."""
    ancestors = {kind.__name__ for kind in getattr(thing, "__mro__", (thing,))}
    module = str(getattr(thing, "__module__", ""))
    return any(re.fullmatch(rule.module, module) and (not rule.base or rule.base in ancestors) for rule in rules(target))


_fresh: set[str] = set()  # read by this process and not yet written


def cache() -> Path:
    """Where signatures are kept: below $FMCYCLE_CACHE, or `.cache` under the working folder."""
    return Path(os.environ.get("FMCYCLE_CACHE") or ".cache") / "signatures.json"


@functools.cache
def _kept() -> dict[str, dict]:
    """{library and version: {name: parameters, or None for a name that is not allowed}}; {} where the file is damaged or not there."""
    try:
        found = json.loads(cache().read_text())
        whole = all(kinds is None or set(map(type, kinds.values())) <= {str} for held in found.values() for kinds in held.values())
    except (OSError, ValueError, AttributeError):
        return {}
    return found if whole else {}


@functools.cache
def _release(library: str) -> str:
    from importlib import metadata  # a third of the time that --help takes

    return f"{library} {metadata.version(library)}"


@functools.cache
def _say() -> None:
    if not cache().is_file():
        found = ", ".join(_release(each) for each in ("transformers", "peft", "diffusers", "lightning", "torch"))
        print(f"reading what configs may build from the source of {found}; kept in {cache()}", file=sys.stderr, flush=True)


def keep() -> None:
    """Write what this process read into the cache, where that can be written; signatures of other versions go."""
    if not _fresh:
        return
    _fresh.clear()
    installed = {_release(rule.package.partition(".")[0]) for rule in RULES}
    try:
        atomic.write_json(cache(), {name: held for name, held in _kept().items() if name in installed})
    except OSError:  # a folder that is only read: the next command reads the source again
        return
