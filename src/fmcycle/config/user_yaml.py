"""Reads the yamls of people, params.yaml, local.yaml and those of conf/, in which a key that stands twice is an error."""

from pathlib import Path
from typing import Any

import yaml

from fmcycle.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"  # the key <<, which takes over another mapping


class Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error; PyYAML takes the last one without a word."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        if twice := [name for place, name in enumerate(names) if name in names[:place]]:
            raise yaml.constructor.ConstructorError(problem=f"the key {twice[0]} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def content(file: Path) -> Any:
    """Return what a YAML file holds; {} if it holds nothing. Raises ConfigError if it is no YAML, or has a key twice."""
    try:
        return yaml.load(file.read_text(), Loader) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([f"{file}: not valid YAML ({' '.join(str(error).split())[:200]}); correct it"]) from error
