"""Descriptions of cloud services' operations, labelled with the service: documents for classifiers."""

import json
from collections import Counter

from fmcycle.artifact.wheel import Archive
from fmcycle.ranges import NonNegativeInt, PositiveInt
from fmcycle.source.dataset.botocore import DOMAIN, Operation, newest, operation, service_title


def read(wheel: Archive, *, classes: PositiveInt = 60, characters: PositiveInt = 400, parameters: NonNegativeInt = 0) -> dict:
    """`documents` of the `classes` services with most operations: text is an operation's description, label the service's short name.

    characters, parameters: limits of a text, as in the source botocore, but without the title, which would give the class away.
    Each operation is its own group, so that every service is in every split. A text that two operations share is left out.
    """
    found: list[Operation] = []
    for service, name in sorted(newest(wheel.names()).items()):
        model = json.loads(wheel.read(name))
        title = service_title(model["metadata"])
        found += [operation(service, title, model, entry, characters, parameters) for entry in model["operations"].values()]
    texts = Counter(entry.text for entry in found)
    found = [entry for entry in found if entry.text and texts[entry.text] == 1]
    chosen = {service for service, _ in Counter(entry.service for entry in found).most_common(classes)}
    return {"documents": [document(entry) for entry in found if entry.service in chosen]}


def document(entry: Operation) -> dict:
    """The document of an operation."""
    name = f"services/{entry.service}/{entry.name}"
    return {"id": name, "group": name, "domain": DOMAIN, "label": entry.service, "text": "\n".join([entry.text, *entry.parameters])}
