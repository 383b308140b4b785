"""A learner pod whose generator runs on this machine, on a port that the learner could not know."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from grpo_contract.config import RunConfig
from grpo_contract.network import GENERATOR_PORT
from harness.layout import TRAINER_IMAGE
from trainer.forwarder import Forwarder
from trainer.learner_pod import LAUNCHER, LearnerPod
from trainer.running_generator import RunningGenerator

GENERATORS_ADDRESS = "127.0.0.2"


@contextmanager
def run_with_generator(
    generator: RunningGenerator,
    folder: Path,
    config: RunConfig,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = LAUNCHER,
) -> Iterator[LearnerPod]:
    """Modules in `folder` can be imported as reward functions."""
    generators = config.generators.model_copy(update={"service": GENERATORS_ADDRESS})
    config = config.model_copy(update={"generators": generators})
    with Forwarder((GENERATORS_ADDRESS, GENERATOR_PORT), ("127.0.0.1", generator.port)):
        environment = {"PYTHONPATH": f"{TRAINER_IMAGE}:{folder}", **(env or {})}
        pod = LearnerPod(folder, config, program=program, alone=False, env=environment)
        try:
            yield pod
        finally:
            pod.kill()
