"""Cloud documentation from the API models in the botocore wheel: operations, services, and questions about them."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from fmcycle.artifact.wheel import Archive
from fmcycle.ranges import NonNegativeInt, PositiveInt
from fmcycle.source.dataset import cloud_question
from fmcycle.source.format.markup import lead, plain, shorten, without_pointers

MODEL = re.compile(r"botocore/data/(?P<service>[^/]+)/(?P<version>\d[^/]*)/service-2\.json(\.gz)?$")
DOMAIN = "cloud documentation"
MECHANICAL = {"dryrun", "clienttoken", "expectedbucketowner", "acceptlanguage"}  # the same sentence in hundreds of operations


@dataclass
class Operation:
    """One operation of a service: what it does in plain text, and its parameters."""

    service: str  # short name, as in the API: "sqs"
    title: str  # full name: "Amazon Simple Queue Service"
    name: str
    text: str
    parameters: list[str] = field(default_factory=list)
    method: str = ""  # HTTP method of a REST API; in other APIs every operation is a POST

    @property
    def id(self) -> str:
        return f"botocore/{self.service}/{self.name}"

    @property
    def group(self) -> str:
        return f"botocore/{self.service}"

    @property
    def summary(self) -> str:
        return lead(self.text, 280, enough=50)


def read(
    wheel: Archive,
    *,
    characters: PositiveInt = 1500,
    parameters: NonNegativeInt = 8,
    questions: PositiveInt = 10,
    preferences: NonNegativeInt = 8,
) -> dict:
    """Tables about the newest API version of every service.

    characters: limit of an operation's description, in whole paragraphs. parameters: how many are described, the required ones first.
    questions: operations of a service that get questions; preferences: further operations that get a preference pair.
    """
    documents, operations = [], []
    for service, name in sorted(newest(wheel.names()).items()):
        model = json.loads(wheel.read(name))
        title = service_title(model["metadata"])
        found = [operation(service, title, model, entry, characters, parameters) for entry in model["operations"].values()]
        found = without_refrains([entry for entry in found if entry.text])
        operations += found
        documents += [document(entry) for entry in found]
        overview = shorten(without_pointers(without_title(plain(model.get("documentation") or ""))), 2 * characters)
        documents.append(
            {"id": f"botocore/{service}", "text": f"{title}\n\n{overview}{index(found)}", "domain": DOMAIN, "group": f"botocore/{service}"}
        )
    return {"documents": documents, **cloud_question.tables(operations, questions, preferences)}


def newest(names: list[str]) -> dict[str, str]:
    """{service: member name} of the latest API version of each service."""
    versions: dict[str, tuple[str, str]] = {}
    for name in names:
        if match := MODEL.match(name):
            entry = (match["version"], name)
            versions[match["service"]] = max(versions.get(match["service"], entry), entry)
    return {service: name for service, (_, name) in versions.items()}


def service_title(metadata: dict) -> str:
    """The service's full name as a person writes it: "AmazonApiGatewayV2" reads "Amazon Api Gateway V2"."""
    title = metadata.get("serviceFullName") or metadata["serviceId"]
    if " " not in title:
        title = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=AWS)(?=[A-Z])", " ", title)
    return title


def operation(service: str, title: str, model: dict, entry: dict, characters: int, count: int) -> Operation:
    """One operation of an API model, its text cleaned and capped."""
    text = shorten(without_pointers(plain(entry.get("documentation") or "")), characters)
    if text and text[-1].isalnum():
        text += "."
    shape = model["shapes"].get((entry.get("input") or {}).get("shape"), {})
    required = set(shape.get("required", ()))
    members = sorted(shape.get("members", {}).items(), key=lambda member: member[0] not in required)  # stable: keeps their order otherwise
    lines = []
    for name, member in members:
        meaning = lead(without_pointers(plain(member.get("documentation") or "")), 240, enough=60)
        if meaning and not member.get("deprecated") and name.lower() not in MECHANICAL:
            lines.append(f"- {name}{' (required)' if name in required else ''}: {meaning}")
    method = entry["http"]["method"] if model["metadata"].get("protocol", "").startswith("rest") else ""
    return Operation(service, title, entry["name"], text, lines[:count], method)


def without_refrains(operations: list[Operation], often: int = 4) -> list[Operation]:
    """Operations of one service without the paragraphs that `often` of them repeat; the first paragraph of each stays."""
    seen = Counter(paragraph for entry in operations for paragraph in set(entry.text.split("\n\n")[1:]))
    for entry in operations:
        first, *rest = entry.text.split("\n\n")
        entry.text = "\n\n".join([first, *(paragraph for paragraph in rest if seen[paragraph] < often)])
    return operations


def document(entry: Operation) -> dict:
    """The document of an operation."""
    text = f"{entry.title}: {entry.name}\n\n{entry.text}"
    if entry.parameters:
        text += "\n\nParameters:\n" + "\n".join(entry.parameters)
    return {"id": entry.id, "text": text, "domain": DOMAIN, "group": entry.group}


def without_title(text: str) -> str:
    """An overview without leading headings, which are paragraphs without a full stop."""
    while text and "." not in text.split("\n\n")[0]:
        text = text.partition("\n\n")[2]
    return text


def index(operations: list[Operation]) -> str:
    """The first operations of a service with one sentence each."""
    lines = [f"- {entry.name}: {lead(entry.text, 160)}" for entry in operations if lead(entry.text, 160)]
    return "\n\nOperations:\n" + "\n".join(lines[:12]) if lines else ""
