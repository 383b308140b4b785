"""A real learner whose generators are paced: how near a step comes to the longer one of generation and learning."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from grpo_contract.config import RunConfig
from grpo_demo.make_base import build_model, build_tokenizer
from perf.learner_steps import Step, follow
from perf.paced_process import running_paced_server
from perf.pacing import Pace
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import WITH_TESTS, LearnerPod

GENERATORS = ("127.0.0.2", "127.0.0.3")
SERVICE = "generators"
RUN_S = 900
PROBLEMS = 1200

COMPLETIONS = 192
"""Of a batch, on all ranks."""
TOKENS = 128
"""Of a completion. So many that learning from a batch takes about four seconds on one core: what a step costs beside it, some
80 ms, is less in a training of our users', whose steps take longer than that."""
RECIPE: dict[str, Any] = {
    "reward_funcs": ["trainer.parity_inputs:digits"],
    "max_completion_length": TOKENS,
    "num_generations": 4,
    "beta": 0.0,
}


class LimitRig:
    """The model has the demo's shape and has learnt nothing."""

    def __init__(self, folder: Path, ranks: int) -> None:
        self._folder, self._ranks = folder, ranks
        self._model = folder / "model"
        tokenizer = build_tokenizer(random.Random(0))
        self._vocabulary = len(tokenizer)
        build_model(tokenizer).save_pretrained(self._model)
        tokenizer.save_pretrained(self._model)
        self._data = write_problems(folder / "train.jsonl", PROBLEMS)
        self._hosts = folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {SERVICE}\n" for address in GENERATORS))

    def steps(self, name: str, generate_s: float, max_staleness: int, num_steps: int) -> Sequence[Step]:
        """All but the first, where the generators need `generate_s` for a batch that all of them write."""
        folder = self._folder / name
        folder.mkdir()
        pace = Pace(generate_s / TOKENS, COMPLETIONS // len(GENERATORS), self._vocabulary)
        with ExitStack() as running:
            for address in GENERATORS:
                running.enter_context(running_paced_server(address, pace))
            pod = LearnerPod(
                folder,
                self._config(max_staleness, num_steps),
                program=("-m", "perf.hosted_learner"),
                arguments=[str(self._hosts)],
                alone=False,
                env={"PYTHONPATH": WITH_TESTS},
            )
            running.callback(pod.kill)
            return follow(pod, num_steps, RUN_S)

    def _config(self, max_staleness: int, num_steps: int) -> RunConfig:
        config = learner_config(
            self._model,
            self._data,
            processes=self._ranks,
            every_steps=num_steps,
            max_steps=num_steps,
            per_device_train_batch_size=COMPLETIONS // self._ranks,
            **RECIPE,
        )
        generators = config.generators.model_copy(update={"service": SERVICE, "max_staleness": max_staleness})
        return config.model_copy(update={"generators": generators})
