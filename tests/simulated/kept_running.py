"""An operator that is started again whenever it ends, as a kubelet does, at once: its lease need not run out first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.daemons import daemon, free_port
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl
from simulated.operator_process import operator_command, operator_environment, write_settings


class KeptRunning(threading.Thread):
    """`ends` are the exit codes of processes that have ended by themselves or were killed."""

    def __init__(self, kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str, settings: Path) -> None:
        super().__init__(name=name)
        self._kubectl, self._kubeconfig, self._settings = kubectl, kubeconfig, settings
        self.log = folder / f"{name}.log"
        self.ends: list[int] = []
        self._process: Any = None
        self._is_over = False

    def run(self) -> None:
        while not self._is_over:
            free_lease(self._kubectl)
            command = operator_command(self._settings, free_port())
            with daemon(command, self.log, operator_environment(self._kubeconfig)) as process:
                self._process = process
                if not self._is_over and (code := process.wait()) and not self._is_over:
                    self.ends.append(code)

    def kill(self) -> None:
        """Whoever is at work now; it does nothing more after this."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._is_over = True
        if self._process:
            self._process.terminate()
        self.join()


@contextmanager
def kept_running(kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str, **settings: Any) -> Iterator[KeptRunning]:
    operator = KeptRunning(kubectl, kubeconfig, folder, name, write_settings(folder, name, **settings))
    operator.start()
    try:
        yield operator
    finally:
        operator.stop()


def free_lease(kubectl: Kubectl) -> None:
    kubectl.within(OPERATOR_NAMESPACE)("delete", "lease", RELEASE, "--ignore-not-found")
