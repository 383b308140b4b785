"""The page of a run, reached through the API server: served by learner 0, or by a pod that is there for as long as it is asked."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError, URLError

from grpo_cli.live.cluster import Cluster, ClusterError, Forward, Manifest
from grpo_cli.live.pods import attempt_of, learner_0
from grpo_cli.live.viewer import build_viewer
from grpo_cli.live.why import ENDED
from grpo_contract.files import TOKEN_FILE
from grpo_contract.network import HEALTH_PATH, NEWEST_GROUPS_PATH, PAGE_PORT
from grpo_contract.pod import token_of_page
from grpo_operator.api.status import Phase
from grpo_operator.desired import names

LEARNER_ANSWERS_S: Final = 45.0
"""Its page starts with it, and again some time after it has ended."""
POD_ANSWERS_S: Final = 600.0
"""Of its own: an image of gigabytes may have to come."""
LOOK_EVERY_S: Final = 1.0
ANSWER_S: Final = 60.0
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""What answers is on this machine."""


@dataclass(frozen=True)
class Page:
    forward: Forward
    token: str

    @property
    def address(self) -> str:
        """With what lets a browser in."""
        return f"{self.forward.address}/?token={self.token}"

    def newest_groups(self, last: int, step: int | None) -> list[list[dict[str, Any]]]:
        """The rows of each; of a step all that are kept.

        Raises:
            ClusterError: it does not answer, or has nothing.
        """
        asked = f"last={last}" if step is None else f"step={step}"
        request = urllib.request.Request(  # noqa: S310 (of this machine)
            f"{self.forward.address}{NEWEST_GROUPS_PATH}?{asked}", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with _OPENER.open(request, timeout=ANSWER_S) as answer:
                groups: list[list[dict[str, Any]]] = json.load(answer)
        except HTTPError as error:
            raise ClusterError(
                f"the page answers {error.code}: {error.read().decode(errors='replace')[:300]}"
            ) from error
        except (URLError, OSError) as error:
            raise ClusterError(
                f"the page does not answer ({error}); learner 0 serves it soon after its start."
            ) from error
        return groups


@contextmanager
def page_of(cluster: Cluster, run: Manifest, image: str | None, tell: Callable[[str], None]) -> Iterator[Page]:
    """`image`: of the pod of its own, where learners do not say which. `tell` is told what it waits for.

    Raises:
        ClusterError: learner 0 is on its way, or the page does not answer in time.
    """
    name, phase = run["metadata"]["name"], run.get("status", {}).get("phase")
    token = token_of_page(cluster.secret(names.token_secret(name), TOKEN_FILE.name))
    learner = learner_0(run, cluster.pods(run))
    if learner is not None and learner["status"].get("phase") == "Running":
        with _answering(cluster, learner["metadata"]["name"], LEARNER_ANSWERS_S) as forward:
            yield Page(forward, token)
        return
    if phase not in (*ENDED, Phase.SUSPENDED):  # a pod of its own might take the volume to another node
        raise ClusterError(f"grporun/{name} is {phase}, and its learner 0 does not run yet; ask again when it does.")
    with _own_pod(cluster, run, image, tell) as pod, _answering(cluster, pod, POD_ANSWERS_S) as forward:
        yield Page(forward, token)


@contextmanager
def _own_pod(cluster: Cluster, run: Manifest, image: str | None, tell: Callable[[str], None]) -> Iterator[str]:
    job = cluster.job(names.learner_job(run["metadata"]["name"], attempt_of(run)))
    try:
        viewer = build_viewer(run, job, image)
    except ValueError as error:
        raise ClusterError(str(error)) from error
    pod = cluster.create(viewer)["metadata"]["name"]
    try:
        tell(f"learners are gone: pod {pod} is started to read the volume, and is removed at the end")
        yield pod
    finally:
        cluster.delete_pod(pod)


@contextmanager
def _answering(cluster: Cluster, pod: str, within_s: float) -> Iterator[Forward]:
    deadline = time.monotonic() + within_s
    with ExitStack() as way:
        while (forward := _way_to_page(cluster, pod, way)) is None:
            status = cluster.pod(pod).get("status", {})
            if status.get("phase") in ("Failed", "Succeeded"):
                raise ClusterError(f"pod {pod} has ended: {cluster.last_words(pod)}")
            if time.monotonic() > deadline:
                words = f"{_held_by(status)} (its log: {cluster.last_words(pod)})"
                raise ClusterError(f"the page of pod {pod} did not answer within {within_s:.0f} s: {words}")
            time.sleep(LOOK_EVERY_S)
        yield forward


def _way_to_page(cluster: Cluster, pod: str, way: ExitStack) -> Forward | None:
    """kubectl gives a way up when nobody listens at its end: one that leads nowhere is closed. `way` keeps the other open."""
    with suppress(ClusterError), ExitStack() as tried:
        forward = tried.enter_context(cluster.forwarded(pod, PAGE_PORT))
        if _is_healthy(forward.address):
            way.push(tried.pop_all())
            return forward
    return None


def _is_healthy(address: str) -> bool:
    try:
        with _OPENER.open(address + HEALTH_PATH, timeout=ANSWER_S):
            return True
    except OSError:
        return False


def _held_by(status: Manifest) -> str:
    states = [entry.get("state", {}).get("waiting", {}) for entry in status.get("containerStatuses", ())]
    told = [*states, *(entry for entry in status.get("conditions", ()) if entry["status"] == "False")]
    words = [f"{entry['reason']}: {entry.get('message', '')}" for entry in told if entry.get("reason")]
    return words[0] if words else "its image may be older than the page"
