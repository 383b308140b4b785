"""A GRPORun around a recipe, whose keys stay as they are."""

import re
import textwrap
from dataclasses import dataclass
from typing import Any, Final

import yaml

from grpo_cli.documents import Document
from grpo_cli.kubectl_yaml import as_json, is_plain_mapping, read_documents, write
from grpo_operator.api.rules import NAME_LENGTH
from grpo_operator.api.run import API_VERSION, KIND

MARKERS: Final = ("---", "...", "%")
"""Beginnings of lines that separate documents; a recipe's own lines begin with none of them."""


@dataclass(frozen=True)
class Pods:
    replicas: int = 1
    gpus: int = 1

    @classmethod
    def parse(cls, text: str) -> "Pods":
        """`2x8`: two pods of eight GPUs.

        Raises:
            ValueError: it is written otherwise.
        """
        found = re.fullmatch(r"(\d+)x(\d+)", text)
        if found is None:
            raise ValueError(text)
        return cls(int(found[1]), int(found[2]))

    @property
    def number(self) -> int:
        """Of processes, one per GPU."""
        return self.replicas * self.gpus

    @property
    def as_option(self) -> str:
        return f"--learners {self.replicas}x{self.gpus}"

    @property
    def as_field(self) -> str:
        return f"spec.learners {{replicas: {self.replicas}, gpus: {self.gpus}}}"


@dataclass(frozen=True)
class Surroundings:
    """What a run says beside its recipe."""

    name: str
    learners: Pods = Pods()
    generators: Pods = Pods()
    storage_size: str = "100Gi"
    recipe_defaults: str | None = None


def name_of(file_name: str) -> str:
    """A run's name out of a file's: `Config_demo.yaml` gives config-demo. It begins with a letter, as names of Services do."""
    stem = re.sub(r"\.ya?ml$", "", file_name.rpartition("/")[2])
    words = re.sub("[^a-z0-9]+", "-", stem.lower()).strip("-")
    prefix = "run-" if words[:1].isdigit() else ""
    return f"{prefix}{words}"[:NAME_LENGTH].strip("-") or "grpo"


def build_run(recipe: dict[str, Any], around: Surroundings) -> dict[str, Any]:
    era = {"recipeDefaults": around.recipe_defaults} if around.recipe_defaults else {}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": around.name},
        "spec": {
            "recipe": recipe,
            **era,
            "learners": vars(around.learners),
            "generators": vars(around.generators),
            "storage": {"size": around.storage_size},
        },
    }


def run_text(document: Document, around: Surroundings) -> str:
    """The manifest, with the recipe's own lines where they mean the same in there, comments included."""
    run = build_run(document.content, around)
    text = _around_lines(document.text, run) if is_plain_mapping(document.text) else ""
    return text if _means(text, run) else write(run)


def _around_lines(recipe: str, run: dict[str, Any]) -> str:
    lines = [line for line in recipe.split("\n") if not line.startswith(MARKERS)]
    # Spaces of a line that has nothing else count in a block of text.
    moved = textwrap.indent("\n".join(lines).strip("\n"), "    ", lambda line: line != "\n")
    before, after = write(run | {"spec": run["spec"] | {"recipe": None}}).split("  recipe: null\n")
    return f"{before}  recipe:\n{moved}\n{after}"


def _means(text: str, run: dict[str, Any]) -> bool:
    """A last block of text, for one, may end without the end of a line in a file, and nowhere else."""
    try:
        return bool(as_json(read_documents(text)) == [as_json(run)])
    except yaml.YAMLError:
        return False
