import gzip
import json

from fmcycle.artifact.wheel import Archive
from fmcycle.source.dataset.botocore import Operation, newest, read, service_title, without_refrains, without_title

QUEUE = {"QueueUrl": {"shape": "S", "documentation": "<p>The URL of the queue. Names are case-sensitive.</p>"}}
SQS = {
    "metadata": {"serviceFullName": "Amazon Simple Queue Service", "serviceId": "SQS"},
    "documentation": "<p>Amazon SQS is a reliable, highly-scalable hosted queue for storing messages.</p>",
    "operations": {
        "SendMessage": {
            "name": "SendMessage",
            "input": {"shape": "Send"},
            "documentation": "<p>Delivers a message to the specified queue of this account.</p>",
        },
        "SendMessageBatch": {
            "name": "SendMessageBatch",
            "documentation": "<p>Delivers up to ten messages to the specified queue at once.</p>",
        },
        "PurgeQueue": {"name": "PurgeQueue", "documentation": "<p>Deletes available messages in a queue, also those in flight.</p>"},
        "Undocumented": {"name": "Undocumented"},
    },
    "shapes": {
        "Send": {
            "required": ["MessageBody"],
            "members": {
                **QUEUE,
                "MessageBody": {"shape": "S", "documentation": "<p>The message to send.</p>"},
                "Old": {"shape": "S", "deprecated": True, "documentation": "<p>Old.</p>"},
            },
        }
    },
}
SNS = {
    "metadata": {"serviceFullName": "AmazonSNSTopics", "serviceId": "SNS"},
    "operations": {"Publish": {"name": "Publish", "documentation": "<p>Sends a message to a topic of the caller's account.</p>"}},
    "shapes": {},
}
EC2 = {
    "metadata": {"serviceFullName": "Amazon Elastic Compute Cloud", "serviceId": "EC2"},
    "operations": {"StopInstances": {"name": "StopInstances", "documentation": "<p>Stops an instance that has a volume as its root.</p>"}},
    "shapes": {},
}


def tables(make_wheel, **kwargs):
    models = {"sqs/2012-11-05": SQS, "sqs/2009-01-01": {**SQS, "operations": {}}, "sns/2010-03-31": SNS, "ec2/2016-11-15": EC2}
    members = {f"botocore/data/{name}/service-2.json.gz": gzip.compress(json.dumps(model).encode()) for name, model in models.items()}
    file, _ = make_wheel("botocore", members)
    with Archive(file) as wheel:
        return read(wheel, **kwargs)


def test_an_operation_reads_well_with_its_required_parameter_first(make_wheel):
    documents = {row["id"]: row for row in tables(make_wheel)["documents"]}
    assert documents["botocore/sqs/SendMessage"]["text"] == (
        "Amazon Simple Queue Service: SendMessage\n\nDelivers a message to the specified queue of this account.\n\n"
        "Parameters:\n- MessageBody (required): The message to send.\n- QueueUrl: The URL of the queue. Names are case-sensitive."
    )
    assert "botocore/sqs/Undocumented" not in documents
    assert "- PurgeQueue: Deletes available messages" in documents["botocore/sqs"]["text"]


def test_paragraphs_that_a_service_repeats_go_and_first_ones_stay():
    texts = [f"Does {number}.\n\nSigned requests only.\n\nOwn {number}." for number in range(4)] + ["Does it.\n\nRare."] * 3
    found = without_refrains([Operation("s", "S", "Name", text) for text in texts])
    assert [entry.text for entry in found] == [f"Does {number}.\n\nOwn {number}." for number in range(4)] + ["Does it.\n\nRare."] * 3


def test_a_heading_at_the_start_of_an_overview_goes():
    assert without_title("Amazon SQS API Reference\n\nAmazon SQS\n\nIt is a queue.\n\nMore") == "It is a queue.\n\nMore"
    assert without_title("Only a heading") == ""


def test_only_the_newest_version_of_a_service_is_read():
    names = [f"botocore/data/s3/{version}/service-2.json.gz" for version in ("2006-03-01", "2001-01-01")] + [
        "botocore/data/s3/2006-03-01/examples-1.json"
    ]
    assert newest(names) == {"s3": names[0]}


def test_names_written_together_are_taken_apart():
    assert service_title({"serviceFullName": "AmazonApiGatewayV2", "serviceId": "x"}) == "Amazon Api Gateway V2"


def test_a_service_and_all_its_questions_are_one_group(make_wheel):
    for rows in tables(make_wheel).values():
        for row in rows:
            assert row["group"] == "/".join(row["id"].split("/")[:2])


def test_questions_have_checkable_answers(make_wheel):
    found = tables(make_wheel)
    operations = {row["id"]: row["text"] for row in found["documents"]}
    for row in found["instructions"]:
        question, answer = (message["content"] for message in row["messages"])
        document = operations[row["document"]]
        title, name = document.split("\n")[0].split(": ")
        if row["task"] == "describe":
            assert name in question and answer in document
        elif row["task"] == "name":
            assert answer == name and name not in question
        else:
            assert answer == title and question.count(title) == 1 and name in question
    assert {row["task"] for row in found["instructions"]} == {"describe", "name", "service"}


def test_a_preference_is_the_true_summary_over_that_of_the_nearest_name(make_wheel):
    pairs = tables(make_wheel, questions=1, preferences=3)["preferences"]
    assert pairs
    for row in pairs:
        assert row["chosen"] != row["rejected"]
        if row["id"].endswith("SendMessage/preference"):
            assert row["rejected"] == "Delivers up to ten messages to the specified queue at once."


def test_no_answer_is_given_twice(make_wheel):
    answers = [row["messages"][-1]["content"] for row in tables(make_wheel)["instructions"] if row["task"] == "describe"]
    assert len(answers) == len(set(answers))
