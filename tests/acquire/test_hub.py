"""The hub source against folders, and against a small hub on this machine that serves one data set at one commit."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from instar.acquire.tasks.hub import HfDataset
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import ConfigError, DataError

SEEDS = {"train": 1, "dev": 1, "gate": 1, "sealed": 1}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/sums"


def sums(n, start=0):
    rows = [json.dumps({"question": f"What is number {i}?", "answer": i}) for i in range(start, start + n)]
    return "".join(r + "\n" for r in rows)


FILES = {"train.jsonl": sums(12).encode(), "test.jsonl": sums(5, start=50).encode()}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as ``datasets`` asks of it."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path in (f"/api/datasets/{REPO}", f"/api/datasets/{REPO}/revision/main", self._at("/revision/")):
            files = [{"rfilename": name} for name in FILES]
            return self._json({"id": REPO, "sha": COMMIT, "siblings": files, "private": False, "tags": []})
        if path.startswith(f"/api/datasets/{REPO}/revision/"):
            return self._missing("RevisionNotFound")
        if path.startswith(self._at("/tree/")):
            return self._json([self._about(name) for name in FILES])
        if path.startswith(f"/datasets/{REPO}/resolve/"):
            name = path.rpartition("/")[2]
            return self._bytes(FILES[name]) if name in FILES else self._missing("EntryNotFound")
        return self._missing("RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._json([self._about(name) for name in FILES if name in unquote(asked)])

    def _at(self, what: str) -> str:
        return f"/api/datasets/{REPO}{what}{COMMIT}"

    def _about(self, name: str) -> dict[str, object]:
        return {"type": "file", "path": name, "size": len(FILES[name]), "oid": f"{len(FILES[name]):040x}"}

    def _json(self, value: object) -> None:
        self._bytes(json.dumps(value).encode(), "application/json")

    def _missing(self, code: str) -> None:
        self.send_response(404 if code != "RepoNotFound" else 401)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _bytes(self, data: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{len(data):040x}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import json, sys
from instar.acquire.tasks.hub import HfDataset
from instar.errors import InstarError
for settings, wanted in json.loads(sys.argv[1]):
    try:
        sets = HfDataset(**settings)(wanted, dict.fromkeys(wanted, 1))
        print(json.dumps({n: [(t.question, t.private["answer"], t.source) for t in ts] for n, ts in sets.items()}))
    except InstarError as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""


def ask(endpoint, home, *asked, **env):
    """In a process of its own: the endpoint is read once, when the hub's client is imported."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(asked)], capture_output=True, text=True, timeout=90,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
             "HF_HUB_DISABLE_TELEMETRY": "1", **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_data_set_of_the_hub_is_read_at_the_commit_that_is_recorded(hub, tmp_path):
    whole, apart, branch, revision, split, repo = ask(
        hub, tmp_path,
        ({"dataset": REPO, "split": "train"}, {"train": 6, "gate": 3, "sealed": 3}),
        ({"dataset": REPO, "train": "train", "sealed": "test"}, {"train": 12, "sealed": 5}),
        ({"dataset": REPO, "revision": COMMIT, "train": "test"}, {"train": 1}),
        ({"dataset": REPO, "revision": "v9", "split": "train"}, {"train": 1}),
        ({"dataset": REPO, "split": "validation"}, {"train": 1}),
        ({"dataset": "someone/else", "split": "train"}, {"train": 1}),
    )  # fmt: skip
    assert {n: len(tasks) for n, tasks in whole.items()} == {"train": 6, "gate": 3, "sealed": 3}
    assert {s for tasks in whole.values() for _, _, s in tasks} == {f"hf_dataset/{REPO}@{COMMIT}/train"}
    assert all(question == f"What is number {answer}?" for question, answer, _ in apart["sealed"])
    assert {s for _, _, s in apart["sealed"]} == {f"hf_dataset/{REPO}@{COMMIT}/test"}
    assert branch["train"][0][2] == f"hf_dataset/{REPO}@{COMMIT}/test"
    assert revision.startswith(f"DataError: The data set '{REPO}' has no revision 'v9'")
    assert split.startswith(f"DataError: {REPO} has no split 'validation'")
    assert repo.startswith(f"DataError: There is no data set 'someone/else' on {hub}")


def test_a_hub_that_cannot_be_reached_is_an_error_that_says_what_to_do(hub, tmp_path):
    asked = ({"dataset": REPO, "split": "train"}, {"train": 1})
    ask(hub, tmp_path, asked)  # cached now, and refused all the same: which revision it is cannot be known
    for endpoint, env in (("http://127.0.0.1:9", {}), (hub, {"HF_HUB_OFFLINE": "1"})):
        [said] = ask(endpoint, tmp_path, asked, **env)
        assert said.startswith(f"DataError: The hub at {endpoint} cannot be reached for '{REPO}'")
        assert "parquet, csv or jsonl" in said


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    here = tmp_path / "mine"
    here.mkdir()
    (here / "train.jsonl").write_text(sums(12))
    (here / "test.jsonl").write_text(sums(5, start=50))
    return here


def test_a_folder_is_read_and_its_files_are_hashed(folder):
    sets = HfDataset(dataset=str(folder), train="train", sealed="test")({"train": 12, "sealed": 5}, SEEDS)
    assert prove_disjoint(sets) == {"train": 12, "sealed": 5}
    source = sets["train"][0].source
    assert source.startswith("hf_dataset/mine@files-")
    assert sets["train"][0].ability == "mine"
    (folder / "train.jsonl").write_text(sums(12, start=1))
    assert HfDataset(dataset=str(folder), split="train")({"train": 1}, SEEDS)["train"][0].source != source


def test_what_a_folder_does_not_have_is_refused(folder):
    def said(**settings):
        with pytest.raises(DataError) as error:
            HfDataset(dataset=str(folder), **settings)({"train": 1}, SEEDS)
        return str(error.value)

    assert "has no split 'dev'" in said(split="dev")
    assert "no column 'frage'. The columns are: question, answer" in said(split="train", question="frage")
    assert "has no revision" in said(split="train", revision="main")
    assert "config" in said(split="train", config="other")
    (folder / "train.jsonl").write_text('{"question": \n')
    assert "cannot be loaded" in said(split="train")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        HfDataset(dataset=str(tmp_path / "none"), split="train")({"train": 1}, SEEDS)


def test_no_split_and_both_kinds_of_split_are_refused():
    with pytest.raises(ConfigError, match="hf_dataset has no split"):
        HfDataset(dataset=REPO)
    with pytest.raises(ConfigError, match="hf_dataset has both split and train"):
        HfDataset(dataset=REPO, split="train", train="train")
    with pytest.raises(DataError, match="No split for the dev set"):
        HfDataset(dataset=REPO, train="train")({"dev": 1}, SEEDS)
