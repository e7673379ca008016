"""Writes a folder into a repository of the hub, in one commit: the process behind `fmcycle push`."""

import json
import sys
from pathlib import Path

from fmcycle.artifact import hub
from fmcycle.artifact.hub_fetch import explained
from fmcycle.errors import InputError


def main() -> int:
    """hub_push REFERENCE FOLDER public|private: print {"commit"} or {"error"} as the last line."""
    text, folder, seen = sys.argv[1:]
    asked = hub.parse(text)
    try:
        with explained(asked, "model"):
            answer = {"commit": pushed(asked, Path(folder), seen == "private")}
    except InputError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
    return 2 if "error" in answer else 0


def pushed(asked: hub.Reference, folder: Path, private: bool) -> str:
    """Make the repository unless it exists, and add every file of `folder`; return the commit. Files that are the same are not sent."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="fmcycle")
    if api.token is None and not token():
        raise InputError(f"{asked}: nobody may write there without a token: set HF_TOKEN, or run `hf auth login`")
    api.create_repo(asked.repo, private=private, exist_ok=True)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    operations = [CommitOperationAdd(file.relative_to(folder).as_posix(), str(file)) for file in files]
    done = api.create_commit(asked.repo, operations, commit_message="Model, card and provenance", revision=asked.revision)
    return str(done.oid)


def token() -> str | None:
    """Return the token of the environment or of `hf auth login`."""
    from huggingface_hub import get_token

    return get_token()


if __name__ == "__main__":
    sys.exit(main())
