"""How `kubectl grpo open` and `completions` come to the page of a run. kubectl is played, the page is a real server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from grpo_cli.live import page
from grpo_cli.live.cluster import ClusterError, Forward
from grpo_cli.live.page import page_of
from grpo_contract.network import HEALTH_PATH, NEWEST_GROUPS_PATH
from grpo_contract.pod import token_of_page
from unit.live_runs import pod

GROUPS = [[{"step": 3, "group": 0}]]


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        knows = self.headers.get("Authorization") == f"Bearer {token_of_page('the-token')}"
        status = 200 if path == HEALTH_PATH or (path == NEWEST_GROUPS_PATH and knows) else 401
        body = json.dumps(GROUPS).encode() if status == 200 else b"who are you?"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class PlayedCluster:
    def __init__(self, address: str, pods: list[dict[str, Any]], token: str = "the-token") -> None:
        self.ways = [address]
        """What each way leads to, in turn; the last one stays."""
        self._pods = pods
        self._token = token
        self.told: list[str] = []
        self.viewer: dict[str, Any] = {"status": {"phase": "Running"}}

    def pods(self, run: Any) -> list[dict[str, Any]]:
        return self._pods

    def secret(self, name: str, key: str) -> str:
        assert (name, key) == ("math-token", "token")
        return self._token

    def job(self, name: str) -> None:
        self.told.append(f"job {name}")

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.told.append(f"create {manifest['metadata']['generateName']}")
        return {"metadata": {"name": "math-page-1"}}

    def pod(self, name: str) -> dict[str, Any]:
        return self.viewer

    def delete_pod(self, name: str) -> None:
        self.told.append(f"delete {name}")

    def last_words(self, name: str) -> str:
        return "its last words"

    @contextmanager
    def forwarded(self, name: str, port: int) -> Iterator[Forward]:
        self.told.append(f"way to {name}")
        way = self.ways.pop(0) if len(self.ways) > 1 else self.ways[0]
        if way == "none":
            raise ClusterError("connection refused")
        yield Forward(way, None)  # type: ignore[arg-type]
        self.told.append("way closed")


def run_in(phase: str) -> dict[str, Any]:
    metadata = {"name": "math", "namespace": "lab", "uid": "u-1"}
    return {"metadata": metadata, "spec": {"storage": {"size": "1Gi"}}, "status": {"phase": phase, "attempt": 2}}


def groups(cluster: PlayedCluster, phase: str = "Running", image: str | None = "an-image") -> Any:
    with page_of(cluster, run_in(phase), image, lambda words: None) as found:  # type: ignore[arg-type]
        return found.newest_groups(2, None)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LOOK_EVERY_S", 0.01)


def test_learner_0_serves_it_while_it_runs(address: str) -> None:
    cluster = PlayedCluster(address, [pod("learner", 1), pod("learner", 0), pod("generator", 0)])
    assert groups(cluster) == GROUPS
    assert cluster.told == ["way to math-learner-2-0", "way closed"]


def test_a_way_that_leads_nowhere_is_tried_again(address: str) -> None:
    cluster = PlayedCluster(address, [pod("learner", 0)])
    cluster.ways = ["none", "http://127.0.0.1:1", address]
    assert groups(cluster) == GROUPS
    assert cluster.told.count("way to math-learner-2-0") == 3


def test_what_the_page_answers_is_told(address: str) -> None:
    """Though trouble on the way there is tried again."""
    cluster = PlayedCluster(address, [pod("learner", 0)], token="another")
    with pytest.raises(ClusterError, match=r"the page answers 401: who are you\?"):
        groups(cluster)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Suspended"])
def test_a_pod_of_its_own_reads_the_volume_of_a_run_that_is_over(address: str, phase: str) -> None:
    cluster = PlayedCluster(address, [])
    assert groups(cluster, phase) == GROUPS
    assert cluster.told == [
        *("job math-learner-2", "create math-page-", "way to math-page-1", "way closed", "delete math-page-1")
    ]


def test_it_is_removed_when_it_ends_by_itself(address: str) -> None:
    cluster = PlayedCluster(address, [])
    cluster.ways, cluster.viewer = ["none"], {"status": {"phase": "Failed"}}
    with pytest.raises(ClusterError, match="pod math-page-1 has ended: its last words"):
        groups(cluster, "Succeeded")
    assert cluster.told[-1] == "delete math-page-1"


def test_it_says_what_holds_it_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "POD_ANSWERS_S", 0.05)
    cluster = PlayedCluster(address, [])
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    cluster.ways = ["none"]
    cluster.viewer = {"status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}}
    with pytest.raises(ClusterError, match=r"did not answer within 0 s: ImagePullBackOff: no such image"):
        groups(cluster, "Succeeded")
    assert cluster.told[-1] == "delete math-page-1"


def test_a_run_between_attempts_keeps_its_volume_to_itself(address: str) -> None:
    cluster = PlayedCluster(address, [])
    with pytest.raises(ClusterError, match="grporun/math is Restarting, and its learner 0 does not run yet"):
        groups(cluster, "Restarting")
    assert cluster.told == []


def test_without_learners_and_image_it_says_what_to_do(address: str) -> None:
    with pytest.raises(ClusterError, match="name the image with --image"):
        groups(PlayedCluster(address, []), "Suspended", image=None)
