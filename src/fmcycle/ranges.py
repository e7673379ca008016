"""Kinds of values for constructor signatures; the config check reads them without importing the constructor."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Le


class Kind(NamedTuple):
    """What a value stands for: `node`, `section` or `space` (`fmcycle.config.nodes`), `path` (`.paths`), an address (`.address`), or a
    reference to the hub (`fmcycle.artifact.hub`)."""

    name: str


PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
ExistingPath = Annotated[str, Kind("path")]  # a file or folder that must be there before a stage begins
Address = Annotated[str, Kind("address")]  # of files, as fsspec writes it: s3://bucket/texts
HubReference = Annotated[str, Kind("reference")]  # hub:OWNER/NAME@REVISION
WebAddress = Annotated[str, Kind("web address")]  # of a server
Node = Annotated[dict, Kind("node")]  # {"_target_": ...}, to be built
Section = Annotated[dict, Kind("section")]  # the nodes of one training, as fmcycle.stage.train names them
Space = Annotated[dict, Kind("space")]  # nested mappings whose leaves are nodes
