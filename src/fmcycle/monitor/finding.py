"""The finding of a monitor."""


def finding(value: float, low: float, high: float, n: int, bound: float, alarm: bool, what: str) -> dict:
    """Return one finding, its numbers rounded to 4 decimals. what: a sentence that describes it."""
    numbers = {"value": value, "low": low, "high": high, "bound": bound}
    return {name: round(float(number), 4) for name, number in numbers.items()} | {"n": n, "alarm": bool(alarm), "what": what}
