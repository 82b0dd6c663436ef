"""A hub on this machine: what the Hugging Face hub answers when a model is looked up and downloaded."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class LocalHub:
    """One model, ``some/model``, with the files of folders as its commits; writes down what it is asked.

    Attributes:
        url: for ``HF_ENDPOINT``.
        commits: each commit's folder.
        main: the commit of the main branch.
        asked: the paths of the requests so far.
        created: what was asked for when a model was created.
        uploaded: the files that were pushed over HTTP, by path.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.commits: dict[str, Path] = {}
        self.main = ""
        self.asked: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.uploaded: dict[str, bytes] = {}

    def push(self, folder: Path) -> str:
        """Make the files of ``folder`` the main branch's; gives the commit."""
        self.main = hashlib.sha1(str(folder).encode()).hexdigest()
        self.commits[self.main] = folder
        return self.main

    def answer(self, path: str) -> tuple[bytes, dict[str, str]] | None:
        """Content and headers for ``path``; None if there is no such thing."""
        match unquote(urlsplit(path).path).strip("/").split("/"):
            case ["api", "models", "some", "model", "revision", revision]:
                commit = self.main if revision == "main" else revision
                if commit in self.commits:
                    return json.dumps({"id": "some/model", "sha": commit, "siblings": []}).encode(), {}
            case ["api", "models", "some", "model", "tree", commit] if commit in self.commits:
                files = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _etag(file)}
                    for file in sorted(self.commits[commit].iterdir())
                ]
                return json.dumps(files).encode(), {}
            case ["some", "model", "resolve", commit, name] if commit in self.commits:
                file = self.commits[commit] / name
                if file.is_file():
                    return file.read_bytes(), {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": commit}
        return None

    def take(self, path: str, body: bytes) -> Any:
        """Take what is posted to ``path``, in a model's name or its files; gives the answer."""
        match unquote(urlsplit(path).path).strip("/").split("/"):
            case ["api", "repos", "create"]:
                self.created.append(json.loads(body))
                return {"url": f"{self.url}/{self.created[-1]['organization']}/{self.created[-1]['name']}"}
            case ["api", "validate-yaml"]:  # of the front matter in README.md
                return {"errors": [], "warnings": []}
            case ["api", "models", _, _, "preupload", "main"]:
                files = [file["path"] for file in json.loads(body)["files"]]
                return {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]}
            case ["api", "models", _, _, "commit", "main"]:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        self.uploaded[line["value"]["path"]] = content
                return {"commitUrl": f"{self.url}/some/model/commit/{40 * '0'}", "commitOid": 40 * "0"}
        return None


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    """A hub that answers while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            answer = hub.answer(self.path)
            if answer is None:
                self.send_error(404)
                return
            content, headers = answer
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def do_POST(self) -> None:
            hub.asked.append(self.path)
            answer = hub.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = LocalHub(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()
