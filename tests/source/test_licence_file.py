import json

import polars as pl
import pytest

from fmcycle.licence.policy import family
from fmcycle.source.licence_file import recognised
from fmcycle.source.local import local, record_of
from fmcycle.source.reader import read

TEXTS = {
    "MIT": "MIT License\n\nCopyright (c) 2020 Jo\n\nPermission is hereby granted, free of charge, to any person obtaining a copy",
    "Apache-2.0": "                                 Apache License\n                           Version 2.0, January 2004\n",
    "GPL-3": "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n",
    "CC-BY-NC-SA-4.0": "Attribution-NonCommercial-ShareAlike 4.0 International\n\n====",
    "CC-BY-4.0": "Creative Commons Attribution 4.0 International Public License",
    "CC-BY-NC-4.0": "CC BY-NC 4.0. Ask us before you sell it.",
    "BSD-3-Clause": "Redistribution and use in source and binary forms, with or without\n\nNeither the name of the copyright holder",
    "LicenseRef-LICENSE": "Ask Jo first.",
}


@pytest.mark.parametrize(("name", "text"), TEXTS.items())
def test_a_licence_is_known_by_its_own_words(tmp_path, name, text):
    (tmp_path / "LICENSE").write_text(text)
    assert recognised(tmp_path / "LICENSE") == name and (family(name) == "unknown") == name.startswith("LicenseRef")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("licence.json", '{"licence": "CC-BY-NC-4.0"}'),
        ("license.json", '{"license": "CC-BY-NC-4.0", "origin": "public"}'),
        ("LICENSE", "CC-BY-NC-4.0, and no more."),
        ("LICENCE.md", "# Licence\n\nCC BY-NC 4.0"),
        ("COPYING.txt", "Attribution-NonCommercial 4.0 International"),
        ("README.md", "---\nlicense: cc-by-nc-4.0\ntask_categories:\n- other\n---\n# A card\n"),
    ],
)
def test_what_a_folder_says_of_its_licence_holds_and_is_no_data(tmp_path, name, content):
    folder = tmp_path / "rows"
    (folder / "deep").mkdir(parents=True)
    (folder / name).write_text(content)
    (folder / "deep/a.txt").write_text("A text.")
    (folder / "b.jsonl").write_text('{"text": "Another."}\n{"text": "Its own.", "license": "MIT"}\n')
    local(tmp_path / "sources/mine", path=str(folder))
    for place in (folder, tmp_path / "sources"):
        reading = read(place)
        licences = dict(reading.table("documents").select("text", "licence").iter_rows())
        assert reading.quarantine == [] and licences.pop("Its own.") == "MIT"
        assert {family(licence) for licence in licences.values()} == {"non-commercial"} and len(licences) == 2


def test_a_readme_without_a_head_and_a_file_that_only_sounds_like_a_licence_are_data(tmp_path):
    (tmp_path / "README.md").write_text("# How it was made\n")
    (tmp_path / "license_plates.csv").write_text("id,text\n1,A plate.\n")
    (tmp_path / "license.py").write_text("PLATE = 1\n")
    reading = read(tmp_path)
    assert reading.table("documents").height == 3 and reading.quarantine == []
    assert record_of(tmp_path, tmp_path)["licence"] == "unknown"


@pytest.mark.parametrize("column", ["licence", "License", "licenses", "LICENCE", "license_name", "repoLicense", "spdx_id", "rights"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
def test_a_rows_licence_holds_under_its_usual_names(tmp_path, column, name):
    row = {"text": "A text.", column: "GPL-3.0-only"}
    (tmp_path / name).write_text(f"text,{column}\nA text.,GPL-3.0-only\n" if name == "a.csv" else json.dumps(row))
    assert read(tmp_path).table("documents")["licence"].to_list() == ["GPL-3.0-only"]
    (tmp_path / name).write_text(f"word,{column}\nset,GPL-3.0-only\n" if name == "a.csv" else json.dumps(row | {column: ["GPL-3.0-only"]}))
    assert read(tmp_path).table("documents")["licence"].to_list() == ["GPL-3.0-only"]


@pytest.mark.parametrize("column", ["metadata", "Meta"])
@pytest.mark.parametrize("key", ["license", "max_stars_repo_licenses"])
def test_a_licence_inside_a_mapping_holds_unless_the_row_says_another(tmp_path, column, key):
    rows = [
        {"text": "A text.", column: {key: "GPL-3.0-only", "stars": 3}},
        {"text": "B text.", column: {key: "GPL-3.0-only"}, "licence": "MIT"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "C text.", column: "MIT"}]))
    (tmp_path / "b.csv").write_text(f'text,{column}\nD text.,"{{""{key}"": ""GPL-3.0-only""}}"\n')
    pl.DataFrame([rows[0] | {"text": "E text."}]).write_parquet(tmp_path / "c.parquet")
    pl.DataFrame([{"text": "F text.", column: json.dumps(rows[0][column])}]).write_parquet(tmp_path / "d.parquet")
    messages = [{"role": "user", "content": "G?"}, {"role": "assistant", "content": "Yes."}]
    (tmp_path / "e.jsonl").write_text(json.dumps({"messages": messages, column: {key: ["GPL-3.0-only"]}}))
    reading = read(tmp_path)
    found = dict(reading.table("documents").select("text", "licence").iter_rows())
    wanted = {"B text.": "MIT", "C text.": "unknown"}
    assert found == {f"{name} text.": wanted.get(f"{name} text.", "GPL-3.0-only") for name in "ABCDEF"}
    assert reading.table("instructions")["licence"].to_list() == ["GPL-3.0-only"] and not reading.quarantine


def test_a_column_that_only_sounds_like_a_licence_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": "A text.", "license_url": "https://example.org", "license_type": "MIT", "license": "ISC"})
    )
    reading = read(tmp_path)
    assert reading.table("documents")["licence"].to_list() == ["ISC"] and {*reading.unread} == {"license_url", "license_type"}
