"""What the tests of learner and generator share. A vLLM server costs a minute of CPU: one serves the whole session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.hub_server import Hub, running_hub
from trainer.running_generator import RunningGenerator, run_config
from trainer.tiny_model import write_tiny_model

LONGEST = (
    "test_fleet", "test_zero3", "test_learner_launch", "test_parity", "test_reward_processes", "test_learner_end_to_end",
    "test_hub_end_to_end", "test_exhaustion", "test_samples", "test_lora", "test_quantised", "test_hub_downloads",
    "test_best_evaluation", "test_streamed_evaluation",
)  # fmt: skip
"""Files of tests that take about a minute each. They come first: two files are run at once, and a long one that came last would
be run alone."""
CARD = """---
dataset_info:
  features:
  - name: problem
    dtype: string
  - name: solution
    dtype: string
  splits:
  - name: train
    num_bytes: 100
    num_examples: 2
  - name: test
    num_bytes: 100
    num_examples: 2
---
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Qwen2-style model of 92 k parameters with tied embeddings, and its tokenizer."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def starting_generator(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGenerator]:
    running = RunningGenerator(
        tmp_path_factory.mktemp("generator"), run_config({"model_name_or_path": str(tiny_model)}), "generator-0"
    )
    yield running
    running.kill()


@pytest.fixture(scope="session")
def generator(starting_generator: RunningGenerator) -> RunningGenerator:
    """A generator that serves the tiny model. Tests give it the weights that they need; they must leave it alive."""
    starting_generator.wait_until_it_answers()
    return starting_generator


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """To `datasets`, a folder with files in it is what a repository of the hub is. Ours cannot be read any further."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "train.jsonl").write_text("this is no JSON")
    (folder / "README.md").write_text(CARD)
    monkeypatch.setattr("grpo_trainer.inputs.data.is_path", lambda name: False)
    return str(folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine, which huggingface_hub finds by its environment."""
    with running_hub() as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        yield hub
