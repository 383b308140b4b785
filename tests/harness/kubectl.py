"""kubectl and helm against one cluster, as a person would use them."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

ENDED = {"Succeeded", "Failed"}
"""Phases of a GRPORun that has ended. A Failed one whose restarts were used up goes on when `spec.maxRestarts` is raised."""

REQUEST_S = 60.0
"""How long one question may take."""
COMMAND_S = 360.0
"""How long any other command may; longer than what some are told to wait themselves, of which helm's 300 s are the longest."""
TIMED_OUT = 124
"""The exit code of a command that was ended at its deadline, as timeout(1) has it."""


class CommandFailedError(Exception):
    """A command ended with an exit code other than 0; the message holds what it printed."""


@dataclass(frozen=True)
class Kubectl:
    """`programs` is the folder of kubectl and helm (None: found on PATH), `kubeconfig` None means the current context."""

    kubeconfig: Path | None = None
    programs: Path | None = None
    namespace: str | None = None

    def within(self, namespace: str) -> "Kubectl":
        return replace(self, namespace=namespace)

    def attempt(
        self, *arguments: str, stdin: str | None = None, deadline_s: float = COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        return _run(self.command(*arguments), stdin, deadline_s)

    def __call__(self, *arguments: str, stdin: str | None = None, deadline_s: float = COMMAND_S) -> str:
        return _output(self.attempt(*arguments, stdin=stdin, deadline_s=deadline_s))

    def helm(self, *arguments: str) -> str:
        return _output(_run(self._command("helm", arguments), None, COMMAND_S))

    def get(self, kind: str, name: str) -> Manifest:
        found: Manifest = json.loads(self._ask(kind, name))
        return found

    def find(self, kind: str, name: str) -> Manifest | None:
        answer = self._ask(kind, name, "--ignore-not-found")
        return json.loads(answer) if answer else None

    def find_all(self, kind: str, selector: str = "") -> list[Manifest]:
        items: list[Manifest] = json.loads(self._ask(kind, "-l", selector))["items"]
        return items

    def apply(self, *manifests: Manifest) -> str:
        """Client-side apply, as a person does it: a second one of the same manifest must cause no write."""
        return self("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def command(self, *arguments: str) -> list[str]:
        """kubectl with these arguments, for callers that keep it running."""
        return self._command("kubectl", arguments)

    def _ask(self, *arguments: str) -> str:
        return self("get", *arguments, "-o", "json", deadline_s=REQUEST_S)

    def _command(self, program: str, arguments: tuple[str, ...]) -> list[str]:
        command = [str(self.programs / program) if self.programs else program]
        if self.kubeconfig:
            command.append(f"--kubeconfig={self.kubeconfig}")
        if self.namespace:
            command.append(f"--namespace={self.namespace}")
        return [*command, *arguments]


def _run(command: list[str], stdin: str | None, deadline_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=deadline_s)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, TIMED_OUT, "", f"not within {deadline_s:.1f} s")


def _output(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(done.args)}\n{done.stdout}{done.stderr}")
    return done.stdout


def load_manifests(file: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def condition(manifest: Manifest, kind: str) -> Manifest | None:
    conditions: list[Manifest] = manifest.get("status", {}).get("conditions") or []  # a new CRD's are null
    return next((entry for entry in conditions if entry["type"] == kind), None)
