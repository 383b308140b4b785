"""The logs of a run as they come: of its pods, and of those that follow them in this attempt and the next ones."""

import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Final

from grpo_cli.live.cluster import Cluster, ClusterError, Manifest
from grpo_cli.live.history import Line, lines_of
from grpo_cli.live.logs import chosen
from grpo_cli.live.pods import attempt_of
from grpo_cli.live.why import ENDED

LOOK_EVERY_S: Final = 2.0
MOST_PODS: Final = 512
"""Of a run, one after the other."""

Tell = Callable[[str, Line], None]
"""With the name of a pod. From several threads, one at a time."""


def follow_run(cluster: Cluster, name: str, role: str | None, options: Sequence[str], tell: Tell) -> list[str]:
    """Until it has ended and has nothing more to say, or what follows it is interrupted. Returns what could not be read."""
    run = cluster.run(name)
    streams = _Streams(cluster, options, tell)
    try:
        while True:
            with suppress(ClusterError):  # the next look may find it again
                run = cluster.run(name)
                streams.follow(chosen(cluster.pods(run), attempt_of(run), role))
            is_over = run.get("status", {}).get("phase") in ENDED
            if streams.have_ended(LOOK_EVERY_S) and is_over:
                return streams.troubles
    finally:
        streams.end()


class _Streams:
    def __init__(self, cluster: Cluster, options: Sequence[str], tell: Tell) -> None:
        self.troubles: list[str] = []
        self._cluster, self._options, self._tell = cluster, options, tell
        self._telling = threading.Lock()
        self._threads = ThreadPoolExecutor(MOST_PODS)
        self._by_pod: dict[str, Future[None]] = {}
        self._processes: list[subprocess.Popen[str]] = []
        self._are_ended = False

    def follow(self, pods: Sequence[Manifest]) -> None:
        """Those that are new."""
        for pod in pods:
            if (name := pod["metadata"]["name"]) not in self._by_pod:
                self._by_pod[name] = self._threads.submit(self._stream, pod)

    def have_ended(self, within_s: float) -> bool:
        """All of them.

        Raises:
            OSError: nobody reads what is told.
        """
        done, running = wait(self._by_pod.values(), within_s, FIRST_EXCEPTION)
        for stream in done:
            stream.result()
        return not running

    def end(self) -> None:
        self._are_ended = True
        for process in self._processes:
            process.kill()
        self._threads.shutdown()

    def _stream(self, pod: Manifest) -> None:
        def tell_lines(text: str) -> None:
            with self._telling:
                for line in lines_of(text):
                    self._tell(pod["metadata"]["name"], line)

        try:
            self._cluster.follow(pod, self._options, tell_lines, self._started)
        except ClusterError as trouble:
            self.troubles.append(str(trouble))

    def _started(self, process: "subprocess.Popen[str]") -> None:
        self._processes.append(process)
        if self._are_ended:
            process.kill()
