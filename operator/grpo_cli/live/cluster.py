"""kubectl, with the options that `kubectl grpo` was called with: so whatever logs in for one logs in for the other."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from select import select
from subprocess import PIPE, STDOUT
from typing import IO, Any, Final

from grpo_contract.labels import RUN_LABEL, RUN_UID_LABEL
from grpo_contract.network import LEARNER_HTTP_PORT, METRICS_PATH

Manifest = Mapping[str, Any]

KUBECTL: Final = "kubectl"
RESOURCE: Final = "grporuns.grpo.dev"
ANSWER_S: Final = 60.0
REQUEST_TIMEOUT: Final = "--request-timeout=30s"
SOON: Final = "--request-timeout=3s"
"""For what is shown where it can be had: NetworkPolicies may drop the question, and each look would wait for the end of it."""
LOG_S: Final = 600.0
"""A long one takes its time."""
WAITS_TO_START: Final = "waiting to start"
"""kubectl's words on a container that has no log yet."""
LOOK_AGAIN_S: Final = 2.0
FORWARDED_S: Final = 30.0
FORWARDED: Final = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


Started = Callable[["subprocess.Popen[str]"], None]
"""Gets a process that has begun, and may kill it."""


class ClusterError(Exception):
    """kubectl's own words, or one sentence."""


def _address_told(output: IO[str], pod: str) -> str:
    """By `kubectl port-forward`, perhaps after words of a plugin that logs in."""
    said = []
    while select([output], [], [], FORWARDED_S)[0] and (line := output.readline()):
        if (found := FORWARDED.match(line)) is not None:
            return f"http://{found[1]}"
        said.append(line.strip())
    raise ClusterError(" ".join(said) or f"no way to pod {pod} within {FORWARDED_S:.0f} s.")


@dataclass(frozen=True)
class Forward:
    """A way to a port of a pod."""

    address: str
    process: "subprocess.Popen[str]"

    def wait(self) -> None:
        """Until it ends, as it does with the pod."""
        self.process.communicate()


@dataclass(frozen=True)
class Cluster:
    options: tuple[str, ...] = ()
    """Of kubectl: where the cluster is, who asks, and in which namespace."""

    def run(self, name: str) -> Manifest:
        return self._get(RESOURCE, name)

    def run_names(self) -> list[str]:
        """Of the namespace."""
        return [name.rpartition("/")[2] for name in self._ask("get", RESOURCE, "-o", "name").split()]

    def pods(self, run: Manifest) -> list[Manifest]:
        """Of the run, of all attempts; not of a deleted one of the same name."""
        labels = {RUN_LABEL: run["metadata"]["name"], RUN_UID_LABEL: run["metadata"]["uid"]}
        selector = ",".join(f"{label}={value}" for label, value in labels.items())
        found: list[Manifest] = self._get("pods", "-l", selector)["items"]
        return found

    def events(self, objects: Sequence[str]) -> list[Manifest]:
        """Of objects with these names, in the namespace."""
        found = self._get("events")["items"]
        return [event for event in found if event["involvedObject"].get("name") in objects]

    def log(self, pod: Manifest, *options: str) -> str:
        """With times.

        Raises:
            ClusterError: the pod has none yet, or none any more, or it may not be read.
        """
        return self._answer(["logs", pod["metadata"]["name"], "--timestamps", *options], LOG_S)

    def follow(self, pod: Manifest, options: Sequence[str], tell: Callable[[str], None], started: Started) -> None:
        """Each line of its log, as it comes, until the pod has ended; from when it has one. `started` gets the process that
        reads it.

        Raises:
            ClusterError: it may not be read, or the pod is gone.
        """
        while True:
            command = [*self._command("logs", pod["metadata"]["name"], "--timestamps", "--follow"), *options]
            with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, encoding="utf-8", errors="replace") as logs:
                assert logs.stdout is not None
                assert logs.stderr is not None
                started(logs)
                for line in logs.stdout:
                    tell(line)
                trouble = logs.stderr.read()
            if logs.returncode == 0:
                return
            if WAITS_TO_START not in trouble:
                raise ClusterError(trouble.strip())
            time.sleep(LOOK_AGAIN_S)

    def metrics(self, pod: Manifest) -> str:
        """Of a learner, by way of the API server; empty when that may not, or cannot, reach it."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{LEARNER_HTTP_PORT}/proxy{METRICS_PATH}"
        try:
            return self._answer([SOON, "get", "--raw", path], ANSWER_S)
        except ClusterError:
            return ""

    def secret(self, name: str, key: str) -> str:
        return base64.b64decode(self._get("secret", name)["data"][key]).decode()

    def job(self, name: str) -> Manifest | None:
        found = self._ask("get", "job", name, "--ignore-not-found", "-o", "json")
        return json.loads(found) if found.strip() else None

    def pod(self, name: str) -> Manifest:
        return self._get("pod", name)

    def create(self, manifest: Manifest) -> Manifest:
        """As the API server has made it."""
        made: Manifest = json.loads(
            self._answer([REQUEST_TIMEOUT, "create", "-f", "-", "-o", "json"], ANSWER_S, json.dumps(manifest))
        )
        return made

    def delete_pod(self, name: str) -> None:
        self._ask("delete", "pod", name, "--ignore-not-found", "--wait=false")

    def last_words(self, pod: str) -> str:
        """The last line of its log."""
        try:
            return self._ask("logs", pod, "--tail=1").strip() or "it has said nothing"
        except ClusterError:  # a container that has not started has none
            return "it has no log"

    @contextmanager
    def forwarded(self, pod: str, port: int) -> Iterator["Forward"]:
        """For as long as the block runs.

        Raises:
            ClusterError: kubectl's own words, or it has said nothing within FORWARDED_S.
        """
        command = self._command("port-forward", f"pod/{pod}", f":{port}")
        with subprocess.Popen(command, stdout=PIPE, stderr=STDOUT, encoding="utf-8", errors="replace") as process:
            assert process.stdout is not None
            try:
                yield Forward(_address_told(process.stdout, pod), process)
            finally:
                process.kill()

    def patch(self, name: str, spec: Mapping[str, Any]) -> None:
        self._ask("patch", RESOURCE, name, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def scale(self, name: str, generators: int) -> None:
        self._ask("scale", f"{RESOURCE}/{name}", f"--replicas={generators}")

    def _get(self, *what: str) -> Manifest:
        found: Manifest = json.loads(self._ask("get", *what, "-o", "json"))
        return found

    def _ask(self, *arguments: str) -> str:
        return self._answer([REQUEST_TIMEOUT, *arguments], ANSWER_S)

    def _command(self, *arguments: str) -> list[str]:
        return [KUBECTL, *self.options, *arguments]

    def _answer(self, arguments: Sequence[str], within_s: float, given: str = "") -> str:
        """`given`: on its standard input."""
        command = self._command(*arguments)
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, encoding="utf-8", errors="replace", timeout=within_s
            )
        except FileNotFoundError as error:
            raise ClusterError("kubectl is not on PATH: install it, or run this where it is.") from error
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"the cluster has not answered within {within_s:.0f} s.") from error
        if done.returncode != 0:
            raise ClusterError(done.stderr.strip().removeprefix("error: ") or f"kubectl ended with {done.returncode}.")
        return done.stdout
