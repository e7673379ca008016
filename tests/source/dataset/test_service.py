import json

from fmcycle.artifact.wheel import Archive
from fmcycle.source.dataset.service import read


def model(title, **texts):
    operations = {name: {"name": name, "documentation": f"<p>{text}</p>", "http": {"method": "POST"}} for name, text in texts.items()}
    return {"metadata": {"serviceFullName": title, "serviceId": title}, "operations": operations, "shapes": {}}


MODELS = {
    "sqs/2012-11-05": model("Queue", Send="Delivers a message.", Purge="Deletes all messages.", TagQueue="Adds tags to a resource."),
    "sns/2010-03-31": model("Topic", Publish="Sends a message to a topic.", Tag="Adds tags to a resource."),
    "ec2/2016-11-15": model("Compute", Stop="Stops an instance.", Start="Starts an instance."),
}


def test_a_text_is_labelled_with_its_service_and_stands_for_itself(make_wheel):
    file, _ = make_wheel("botocore", {f"botocore/data/{name}/service-2.json": json.dumps(entry) for name, entry in MODELS.items()})
    with Archive(file) as wheel:
        rows = {row["id"]: row for row in read(wheel, classes=2)["documents"]}
    assert {name: row["label"] for name, row in rows.items()} == {
        "services/sqs/Send": "sqs",
        "services/sqs/Purge": "sqs",
        "services/ec2/Stop": "ec2",
        "services/ec2/Start": "ec2",
    }  # two services tag resources in the same words, and one has fewer operations
    assert all(row["group"] == name and row["label"] not in row["text"] for name, row in rows.items())
    assert rows["services/sqs/Send"]["text"] == "Delivers a message."
