"""Models by hub id, against a server on the loopback: the happy path and each way a hub can fail."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from instar.app.weights import hub
from instar.errors import ModelError
from tests.app.test_models import Place
from tests.engines.tiny import make_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves one model folder as ``org/tiny``, or whatever ``answer`` says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commit: Any = COMMIT
        self.asked: list[str] = []
        self.answer: Callable[[str], tuple[int, bytes] | None] = lambda path: None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                owner.serve(self, body=False)

            def do_GET(self) -> None:
                owner.serve(self, body=True)

            def log_message(self, *_: Any) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def files(self) -> list[dict[str, Any]]:
        found = [p for p in self.folder.rglob("*") if p.is_file()]
        return [
            {
                "type": "file", "path": str(p.relative_to(self.folder)), "rfilename": str(p.relative_to(self.folder)),
                "size": p.stat().st_size, "oid": blob(p), "blobId": blob(p),
            }
            for p in sorted(found)
        ]  # fmt: skip

    def serve(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(f"{request.command} {path}")
        told = self.answer(path)
        headers: dict[str, str] = {"X-Repo-Commit": COMMIT}
        if told is not None:
            status, content = told
        elif path.startswith(f"/api/models/org/tiny/tree/{COMMIT}"):
            status, content = 200, json.dumps(self.files()).encode()
        elif path in ("/api/models/org/tiny", "/api/models/org/tiny/revision/main", "/api/models/org/tiny/revision/v1"):
            status, content = 200, json.dumps({"id": "org/tiny", "sha": self.commit, "siblings": self.files()}).encode()
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            file = self.folder / path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")
            status, content = 200, file.read_bytes()
            headers["ETag"] = f'"{blob(file)}"'
        else:
            status, content = 404, b"{}"
            headers["X-Error-Code"] = "RepoNotFound"
        request.send_response(status)
        for k, v in {**headers, "Content-Length": str(len(content))}.items():
            request.send_header(k, v)
        request.end_headers()
        if body:
            request.wfile.write(content)


def blob(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    folder = make_model(tmp_path / "served")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.safetensors").write_bytes(b"another form of it")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_tiny.py").write_text("raise SystemExit")
    made = FakeHub(folder)
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_model_is_fetched_once_and_its_commit_is_in_its_name(place: Place, served: FakeHub) -> None:
    policy = place.obtain("org/tiny")
    assert policy.weights.name == f"org/tiny@{COMMIT}"
    folder = place.store.open(policy.weights.digest)
    assert (folder / "model.safetensors").read_bytes() == (served.folder / "model.safetensors").read_bytes()
    kept = {p.name for p in folder.rglob("*") if p.is_file()}
    assert kept == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors",
        "manifest.json", "fingerprint.json",
    }  # fmt: skip
    assert not any("pytorch_model" in a or "modeling" in a or "onnx" in a for a in served.asked)
    assert not list((place.home / "models").glob(".fetching-*"))
    assert len(place.said) == 1
    assert COMMIT in place.said[0]
    served.asked.clear()
    assert place.obtain("org/tiny") == policy
    assert not served.asked


def test_a_branch_that_moved_or_a_hub_that_is_gone_does_not_change_what_was_fetched(
    place: Place, served: FakeHub
) -> None:
    first = place.obtain("org/tiny")
    served.server.shutdown()
    served.server.server_close()
    assert place.obtain("org/tiny") == first


def test_a_revision_is_asked_for_by_name(place: Place, served: FakeHub) -> None:
    assert place.obtain("org/tiny@v1").weights.name == f"org/tiny@{COMMIT}"
    assert "GET /api/models/org/tiny/revision/v1" in served.asked
    with pytest.raises(ModelError, match=r"no model or revision 'org/tiny@v2' \(HTTP 404\)"):
        place.obtain("org/tiny@v2")


def test_a_local_folder_of_that_name_goes_first(
    place: Place, served: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "org" / "tiny", seed=4)
    monkeypatch.chdir(tmp_path)
    assert place.obtain("org/tiny").weights.name == "tiny"
    assert not served.asked


@pytest.mark.parametrize(
    ("answer", "what", "do"),
    [
        ((404, b"{}"), r"no model or revision 'org/tiny' \(HTTP 404\)", "local folder"),
        ((401, b"{}"), r"gives no access to org/tiny \(HTTP 401\)", "HF_TOKEN"),
        ((403, b"{}"), r"gives no access to org/tiny \(HTTP 403\)", "HF_TOKEN"),
        ((500, b"oops"), r"failed for org/tiny \(HTTP 500\)", "local folder"),
        ((200, b"<html>please log in</html>"), "something that is not a model", "HF_ENDPOINT"),
        ((200, b"[1, 2]"), "something that is not a model", "HF_ENDPOINT"),
        ((200, b'{"id": "org/tiny", "siblings": []}'), "without a valid commit", "local folder"),
        ((200, b'{"id": "org/tiny", "sha": "../../etc", "siblings": []}'), "without a valid commit", "local folder"),
    ],
)
def test_a_hub_that_answers_something_else_is_named_with_what_to_do(
    place: Place, served: FakeHub, answer: tuple[int, bytes], what: str, do: str
) -> None:
    served.answer = lambda _: answer
    with pytest.raises(ModelError, match=what) as caught:
        place.obtain("org/tiny")
    assert served.url in caught.value.message
    assert do in caught.value.hint
    assert not list((place.home / "models").glob("hub-*.json"))


def test_a_hub_that_cannot_be_reached_is_named_with_what_to_do(
    place: Place, served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.server.shutdown()
    served.server.server_close()
    with pytest.raises(ModelError, match=f"{served.url} cannot be reached") as caught:
        place.obtain("org/tiny")
    assert "local folder" in caught.value.hint


def test_a_file_that_breaks_off_is_an_error_and_what_was_fetched_is_used_the_next_time(
    place: Place, served: FakeHub
) -> None:
    served.answer = lambda path: (404, b"gone") if path.endswith("model.safetensors") else None
    with pytest.raises(ModelError, match=served.url):
        place.obtain("org/tiny")
    assert list((place.home / "models").glob(".fetching-*"))
    served.answer = lambda path: None
    served.asked.clear()
    assert place.obtain("org/tiny").weights.name == f"org/tiny@{COMMIT}"
    assert not any(a.startswith("GET") and a.endswith("/tokenizer.json") for a in served.asked)


@pytest.mark.parametrize(
    ("lacks", "what"),
    [
        ("model.safetensors", "a pickle, which can run code"),
        ("tokenizer.json", r"holds no tokenizer\.json, only an older kind"),
        ("config.json", r"holds no config\.json"),
    ],
)
def test_a_model_that_lacks_a_file_is_refused_before_anything_is_fetched(
    place: Place, served: FakeHub, lacks: str, what: str
) -> None:
    (served.folder / lacks).unlink()
    with pytest.raises(ModelError, match=what):
        place.obtain("org/tiny")
    assert not any("/resolve/" in a for a in served.asked)


def test_names_with_folders_in_what_a_hub_lists_are_ignored(place: Place, served: FakeHub) -> None:
    listed = [*served.files(), {"rfilename": "../../evil.json", "size": 3}, {"rfilename": "/etc/x.json", "size": 3}]
    answer = json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": listed}).encode()
    served.answer = lambda path: (200, answer) if path == "/api/models/org/tiny" else None
    found = hub.look_up("org/tiny")
    assert not any("/" in f or "evil" in f for f in found.files)


@pytest.mark.parametrize("name", ["a/b/c", "smolm2", "/a/b", "../b", "a/..", "a/b@", "a b/c", "-a/b", "a/b@../c"])
def test_what_is_no_hub_id_never_reaches_the_network(place: Place, served: FakeHub, name: str) -> None:
    with pytest.raises(ModelError, match="no model or folder"):
        place.obtain(name)
    assert not served.asked
