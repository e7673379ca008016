"""Ranges for constructor signatures; the config check reads them without importing the constructor."""

from typing import Annotated, NamedTuple


class Range(NamedTuple):
    """low <= value <= high, or low < value where `open_low`."""

    low: float
    high: float = float("inf")
    open_low: bool = False


PositiveInt = Annotated[int, Range(1)]
NonNegativeInt = Annotated[int, Range(0)]
PositiveFloat = Annotated[float, Range(0, open_low=True)]
NonNegativeFloat = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
