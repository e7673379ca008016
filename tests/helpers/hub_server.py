"""A hub on this machine: repositories with commits, branches and files behind the protocol that huggingface_hub and datasets speak."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

LFS = (".safetensors", ".gguf", ".parquet", ".bin", ".arrow")  # files that a hub keeps outside git
TOKEN = "hf_test"


@dataclass
class Repository:
    """commits: {sha: {file: bytes}}; refs: {branch or tag: sha}; declared: {file: size} lies about sizes; served: {file: bytes} instead."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    declared: dict[str, int] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes | str], branch: str = "main") -> str:
        """Add a commit with exactly these files; return its sha."""
        content = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
        sha = hashlib.sha1(repr((sorted(content.items()), len(self.commits))).encode()).hexdigest()
        self.commits[sha] = content
        self.refs[branch] = sha
        return sha


def entry(repository: Repository, name: str, content: bytes) -> dict:
    """What the tree of a hub says of a file."""
    size = repository.declared.get(name, len(content))
    found = {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
    if name.endswith(LFS):
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
    return found


class Hub:
    """repositories: {("models", "me/tiny"): Repository}; requests: every (method, path); sent: bytes of every file that went out."""

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.sent: dict[str, int] = {}
        self.uploads: dict[str, bytes] = {}
        self.down = False
        self.address = ""

    def add(self, kind: str, repo: str, files: dict[str, bytes | str], **settings) -> str:
        """Make a repository with one commit on main; return its sha."""
        return self.repositories.setdefault((kind, repo), Repository(**settings)).commit(files)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def answer(self, body=b"", status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content)), "Content-Type": "application/json"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def fail(self, status: int, code: str, message: str = "no") -> None:
        self.answer({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        self.hub.requests.append((self.command, self.path))
        self.path_parts, self.query = [unquote(part) for part in url.path.strip("/").split("/")], parse_qs(url.query)
        self.content = self.body() if self.command in ("POST", "PUT") else b""
        if self.hub.down:
            return self.fail(503, "Down")
        if url.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if url.path == "/api/repos/create":
            return self.create()
        if found := re.fullmatch(r"/upload/(\w+)", url.path):
            self.hub.uploads[found[1]] = self.content
            return self.answer(ETag=f'"{found[1]}"')
        if url.path.endswith(".git/info/lfs/objects/batch"):
            return self.batch()
        if self.path_parts[0] == "api":
            return self.api()
        return self.resolve()

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def allowed(self, kind: str, repo: str) -> Repository | None:
        """The repository; None if an error was answered."""
        found, token = self.hub.repositories.get((kind, repo)), self.headers.get("Authorization")
        if found is None or (found.private and token != f"Bearer {TOKEN}"):
            self.fail(401 if token is None else 404, "RepoNotFound", "Repository not found")
            return None
        return found

    def revision(self, found: Repository, revision: str) -> str | None:
        sha = found.refs.get(revision, revision)
        if sha not in found.commits:
            self.fail(404, "RevisionNotFound", "Invalid rev id")
            return None
        return sha

    def api(self) -> None:
        kind, rest = self.path_parts[1], self.path_parts[2:]
        verbs = ("revision", "tree", "refs", "paths-info", "preupload", "commit", "commits")
        at = next((index for index, part in enumerate(rest) if index and part in verbs), len(rest))
        repo, verb, more = "/".join(rest[:at]), (rest[at:] or ["revision"])[0], rest[at + 1 :] or ["main"]
        found = self.allowed(kind, repo)
        if found is None:
            return None
        if verb == "refs":
            named = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in found.refs.items()]
            return self.answer({"branches": named, "tags": [], "converts": []})
        if verb == "commit":
            return self.commit(repo, found, more[0])
        sha = self.revision(found, more[0])
        if sha is None:
            return None
        tree = [entry(found, name, content) for name, content in found.commits[sha].items()]
        if verb == "tree":
            below = "/".join(more[1:])
            inside = [each for each in tree if not below or each["path"].startswith(f"{below}/")]
            if self.query.get("recursive", ["False"])[0].lower() != "true":
                depth = below.count("/") + 2 if below else 1
                folders = {"/".join(each["path"].split("/")[:depth]) for each in inside if each["path"].count("/") >= depth}
                inside = [each for each in inside if each["path"].count("/") < depth]
                inside += [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)]
            return self.answer(inside) if inside or not below else self.fail(404, "EntryNotFound")
        if verb == "paths-info":
            asked = json.loads(self.content)["paths"] if self.content[:1] == b"{" else parse_qs(self.content.decode())["paths"]
            folders = {"/".join(each["path"].split("/")[:-1]) for each in tree}
            named = [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in asked if name in folders]
            return self.answer([each for each in tree if each["path"] in asked] + named)
        if verb == "preupload":
            names = [each["path"] for each in json.loads(self.content)["files"]]
            modes = [{"path": name, "uploadMode": "lfs" if name.endswith(LFS) else "regular", "shouldIgnore": False} for name in names]
            return self.answer({"files": modes})
        siblings = [
            {"rfilename": each["path"], "size": each["size"], "blobId": each["oid"]}
            | ({"lfs": {"sha256": each["lfs"]["oid"], "size": each["lfs"]["size"], "pointerSize": 130}} if "lfs" in each else {})
            for each in tree
        ]
        return self.answer({"_id": "0", "id": repo, "sha": sha, "siblings": siblings, "gated": found.gated, "private": found.private})

    def resolve(self) -> None:
        parts, kind = self.path_parts, "models"
        if parts[0] == "datasets":
            parts, kind = parts[1:], "datasets"
        if "resolve" not in parts:
            return self.fail(404, "EntryNotFound")
        at = parts.index("resolve")
        repo, name = "/".join(parts[:at]), "/".join(parts[at + 2 :])
        found = self.allowed(kind, repo)
        sha = self.revision(found, parts[at + 1]) if found else None
        if found is None or sha is None:
            return None
        if found.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(403, "GatedRepo", "Access to model is restricted")
        if name not in found.commits[sha]:
            return self.fail(404, "EntryNotFound", "Entry not found")
        about, content = entry(found, name, found.commits[sha][name]), found.served.get(name, found.commits[sha][name])
        tag = about["lfs"]["oid"] if "lfs" in about else about["oid"]
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        status, size = 200, len(content)
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            begin, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
            if begin >= size:
                return self.answer(b"", 416, Content_Range=f"bytes */{size}")
            content, status = content[begin : end + 1], 206
            headers["Content-Range"] = f"bytes {begin}-{end}/{size}"
        if self.command == "GET":
            self.hub.sent[name] = self.hub.sent.get(name, 0) + len(content)
        return self.answer(content, status, **headers)

    def create(self) -> None:
        asked = json.loads(self.content)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(401, "", "Invalid username or password.")
        kind, repo = f"{asked.get('type', 'model')}s", "/".join(filter(None, [asked.get("organization"), asked["name"]]))
        if (kind, repo) in self.hub.repositories:
            return self.answer({"error": "You already created this repo"}, 409)
        self.hub.repositories[kind, repo] = Repository(private=bool(asked.get("private") or asked.get("visibility") == "private"))
        self.hub.repositories[kind, repo].commit({".gitattributes": ""})
        return self.answer({"url": f"{self.hub.address}/{repo}", "name": repo, "id": repo})

    def batch(self) -> None:
        asked = json.loads(self.content)
        objects = [
            {"oid": each["oid"], "size": each["size"], "actions": {"upload": {"href": f"{self.hub.address}/upload/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        return self.answer({"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json")

    def commit(self, repo: str, found: Repository, branch: str) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(403, "", "Forbidden")
        files = dict(found.commits[found.refs[branch]]) if branch in found.refs else {}
        for line in map(json.loads, self.content.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        sha = found.commit(files, branch)
        return self.answer({"commitUrl": f"{self.hub.address}/{repo}/commit/{sha}", "commitOid": sha, "pullRequestUrl": None})


@contextlib.contextmanager
def hub_server():
    """Yield a running Hub; its `address` is what HF_ENDPOINT takes."""
    hub = Hub()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
