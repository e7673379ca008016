from fmcycle import artifact, lineage


def test_identity_is_what_was_read_and_run_and_nothing_else():
    section = {"model": {"hidden_size": 8}, "seed": 0}
    first = lineage.identity(section, "code", {"documents": "abc"})
    assert first == lineage.identity(dict(reversed(section.items())), "code", {"documents": "abc"})
    assert first != lineage.identity(section, "other", {"documents": "abc"})
    assert first != lineage.identity(section, "code", {"documents": "abd"})
    assert first != lineage.identity(section | {"seed": 1}, "code", {"documents": "abc"})


def test_the_way_back_from_an_artifact_to_what_it_was_made_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    times = {"start": "2026-01-01T00:00:00", "seconds": 1.0}
    for stage, inputs in (("curate", {}), ("pretrain", {"documents": "artifacts/curate"})):
        out = tmp_path / "artifacts" / stage
        with artifact.create(out) as partial:
            (partial / "file").write_text(stage)
        given = {name: {"path": path, "digest": artifact.digest(path)} for name, path in inputs.items()}
        lineage.record(f"artifacts/{stage}", stage, f"identity-{stage}", {}, "code", given, times)
    lineage.show("artifacts/pretrain")
    shown = capsys.readouterr().out
    assert shown.index("pretrain") < shown.index("documents: artifacts/curate") < shown.index("curate identity identity-cur")
