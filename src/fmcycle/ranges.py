"""Kinds of values for constructor signatures; the config check reads them without importing the constructor."""

from typing import Annotated, NamedTuple


class Range(NamedTuple):
    """low <= value <= high, or low < value where `open_low`."""

    low: float
    high: float = float("inf")
    open_low: bool = False


class Kind(NamedTuple):
    """A value that only a config has: `node`, `section` or `space` (`fmcycle.config.nodes`), or `path` (`fmcycle.config.paths`)."""

    name: str


PositiveInt = Annotated[int, Range(1)]
NonNegativeInt = Annotated[int, Range(0)]
PositiveFloat = Annotated[float, Range(0, open_low=True)]
NonNegativeFloat = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
ExistingPath = Annotated[str, Kind("path")]  # a file or folder that must be there before a stage begins
Node = Annotated[dict, Kind("node")]  # {"_target_": ...}, to be built
Section = Annotated[dict, Kind("section")]  # the nodes of one training, as fmcycle.stage.train names them
Space = Annotated[dict, Kind("space")]  # nested mappings whose leaves are nodes
