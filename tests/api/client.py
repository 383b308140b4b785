"""Requests to the API server as a program makes them, and its answers taken apart. Faster than kubectl for tables."""

import json
from dataclasses import dataclass, field
from typing import Any

import requests

from harness.kubectl import Kubectl, Manifest

RUNS = "/apis/grpo.dev/v1alpha1/namespaces/default/grporuns"
STRICT = {"fieldValidation": "Strict"}
DRY = STRICT | {"dryRun": "All"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    warnings: str

    @property
    def accepted(self) -> bool:
        return self.status < 300

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """(field, sentence) of each complaint, without the API server's note that it stopped early."""
        causes = self.body.get("details", {}).get("causes", [])
        return [
            (cause.get("field", ""), cause["message"])
            for cause in causes
            if "some validation rules were not checked" not in cause["message"]
        ]


def direct_session() -> requests.Session:
    """Past any proxy and any bundle of certificates that the environment names."""
    session = requests.Session()
    session.trust_env = False
    return session


@dataclass(frozen=True)
class ApiServer:
    kubectl: Kubectl
    _session: requests.Session = field(default_factory=direct_session)

    def send(self, method: str, path: str, body: Manifest | None = None, **parameters: str) -> Answer:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        url, authority, token = _access(self.kubectl)
        answer = self._session.request(
            method,
            url + path,
            params=parameters,
            data=json.dumps(body),
            headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
            verify=authority,
            timeout=30,
        )
        return Answer(answer.status_code, answer.json(), answer.headers.get("Warning", ""))

    def try_create(self, run: Manifest) -> Answer:
        return self.send("POST", RUNS, run, **DRY)

    def create(self, run: Manifest) -> Manifest:
        return _accepted(self.send("POST", RUNS, run, **STRICT))

    def try_update(self, run: Manifest) -> Answer:
        return self.send("PUT", f"{RUNS}/{run['metadata']['name']}", run, **DRY)

    def patch_status(self, name: str, status: Manifest) -> Manifest:
        return _accepted(self.send("PATCH", f"{RUNS}/{name}/status", {"status": status}, **STRICT))


def _accepted(answer: Answer) -> Manifest:
    assert answer.accepted, answer.body
    return answer.body


def _access(kubectl: Kubectl) -> tuple[str, str, str]:
    assert kubectl.kubeconfig is not None
    config = json.loads(kubectl.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    return cluster["server"], cluster["certificate-authority"], config["users"][0]["user"]["token"]
