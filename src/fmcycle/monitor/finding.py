"""The form of a monitor's finding."""


def finding(value: float, low: float, high: float, n: int, bound: float, alarm: bool, what: str) -> dict:
    """One finding, rounded so that it reads, with its sentence."""
    numbers = {"value": value, "low": low, "high": high, "bound": bound}
    return {name: round(float(number), 4) for name, number in numbers.items()} | {"n": n, "alarm": bool(alarm), "what": what}
