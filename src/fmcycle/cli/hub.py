"""The verbs that talk to the hub."""

from fmcycle.artifact import hub
from fmcycle.cli import verbs


def fetch(arguments: list[str]) -> None:
    """Fetch a reference into the cache; print where it lies."""
    given = verbs.parse("fetch", arguments)
    print(hub.fetched(given.reference, given.kind))
