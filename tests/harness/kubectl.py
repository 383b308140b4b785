"""kubectl and helm against one cluster, as a person would use them."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

ENDED = {"Succeeded", "Failed"}
"""Phases of a GRPORun that no other follows."""


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

    def attempt(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, check=False)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        return _output(self.attempt(*arguments, stdin=stdin))

    def helm(self, *arguments: str) -> str:
        return _output(subprocess.run(self._command("helm", arguments), capture_output=True, text=True, check=False))

    def get(self, kind: str, name: str) -> Manifest:
        found: Manifest = json.loads(self("get", kind, name, "-o", "json"))
        return found

    def find(self, kind: str, name: str) -> Manifest | None:
        answer = self("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(answer) if answer else None

    def find_all(self, kind: str, selector: str = "") -> list[Manifest]:
        items: list[Manifest] = json.loads(self("get", kind, "-l", selector, "-o", "json"))["items"]
        return items

    def apply(self, *manifests: Manifest) -> str:
        """Client-side apply, as a person does it: a second one of the same manifest must cause no write."""
        return self("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def command(self, *arguments: str) -> list[str]:
        """kubectl with these arguments, for callers that keep it running."""
        return self._command("kubectl", arguments)

    def _command(self, program: str, arguments: tuple[str, ...]) -> list[str]:
        command = [str(self.programs / program) if self.programs else program]
        if self.kubeconfig:
            command.append(f"--kubeconfig={self.kubeconfig}")
        if self.namespace:
            command.append(f"--namespace={self.namespace}")
        return [*command, *arguments]


def _output(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(done.args)}\n{done.stdout}{done.stderr}")
    return done.stdout


def load_manifests(file: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def condition(run: Manifest, kind: str) -> Manifest | None:
    conditions: list[Manifest] = run.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), None)
