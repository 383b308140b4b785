"""The demo's training with one real vLLM on the same cores, in turns with generation, beside it, and by TRL alone."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from grpo_contract.config import RunConfig
from harness.layout import MANIFESTS
from perf import stock_learner
from perf.learner_steps import follow, steps_without_phases
from perf.training_report import Training
from trainer.learner_inputs import learner_config
from trainer.learner_pod import WITH_TESTS, LearnerPod
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator, run_config

RANKS = 2
RUN_S = 3600
STATE = "trainer_state.json"


class Mode(StrEnum):
    SYNCHRONOUS = "synchronous"
    OVERLAPPED = "overlapped"
    STOCK = "stock TRL"


MAX_STALENESS = {Mode.SYNCHRONOUS: 0, Mode.OVERLAPPED: 1}


class RealRig:
    def __init__(self, folder: Path, generator: RunningGenerator, num_steps: int) -> None:
        self._folder, self._generator, self._num_steps = folder, generator, num_steps

    def train(self, mode: Mode, seed: int) -> Training:
        folder = self._folder / f"{mode}-{seed}"
        folder.mkdir()
        with self._learner(mode, seed, folder) as pod:
            steps = follow(pod, self._num_steps, RUN_S) if mode in MAX_STALENESS else []
            assert pod.wait(RUN_S) == 0, pod.tail()
            (state,) = pod.volume.glob(f"**/model/{STATE}") if mode in MAX_STALENESS else pod.volume.glob(STATE)
            history = json.loads(state.read_text())["log_history"]
            return Training.of(steps or steps_without_phases(pod.log.read_text()), history, completions_per_step())

    @contextmanager
    def _learner(self, mode: Mode, seed: int, folder: Path) -> Iterator[LearnerPod]:
        config = self._config(seed, MAX_STALENESS.get(mode, 0))
        if mode in MAX_STALENESS:
            with run_with_generator(self._generator, folder, config) as pod:
                yield pod
            return
        program = ["-m", "trainer.ranks", str(RANKS), stock_learner.__file__]
        pod = LearnerPod(folder, config, program=program, alone=False, env={"PYTHONPATH": WITH_TESTS})
        try:
            yield pod
        finally:
            pod.kill()

    def _config(self, seed: int, max_staleness: int) -> RunConfig:
        own = {"model_name_or_path", "dataset_name", "max_steps", "seed"}
        recipe = {key: value for key, value in demo_recipe().items() if key not in own}
        config = learner_config(
            self._folder / "demo" / "base",
            self._folder / "demo" / "train.jsonl",
            processes=RANKS,
            every_steps=self._num_steps,
            max_steps=self._num_steps,
            seed=seed,
            **recipe,
        )
        generators = config.generators.model_copy(update={"max_staleness": max_staleness})
        return config.model_copy(update={"generators": generators})


@contextmanager
def real_rig(folder: Path, num_steps: int) -> Iterator[RealRig]:
    """With the demo's model and data, which take a minute to make, and vLLM answering."""
    subprocess.run(
        [sys.executable, "-m", "grpo_demo.prepare", str(folder / "demo")], check=True, stdout=subprocess.DEVNULL
    )
    recipe = demo_recipe() | {"model_name_or_path": str(folder / "demo" / "base")}
    generator = RunningGenerator(folder, run_config(recipe), "generator-0")
    try:
        generator.wait_until_it_answers()
        yield RealRig(folder, generator, num_steps)
    finally:
        generator.kill()


def demo_recipe() -> dict[str, Any]:
    recipe: dict[str, Any] = yaml.safe_load((MANIFESTS / "demo.yaml").read_text())["spec"]["recipe"]
    return recipe


def completions_per_step() -> int:
    return RANKS * int(demo_recipe()["per_device_train_batch_size"])
