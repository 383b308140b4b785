"""`python -m perf.weight_sync`, in the trainer's environment: what it costs to bring new weights to generators.

The learner's end and the processes that keep the mirrors are the real ones, over the loopback. A random-init Qwen2-style
model in bfloat16 is trained by AdamW with float32 masters, so that as many weights change as in training. Prints a table of
medians; it judges nothing.

- mode: dense, to generators that have no version of this learner; delta, to the same ones one step later.
- load: with copy, what stands for a generator's load is a copy of all tensors out of the mirror; vLLM is a real generator.
- changed: share of the weights whose bits differ from the version before; bytes: sent to one generator.
- publish_s: until the learner has made the version. With maxStaleness it goes on to learn after that.
- checksum_s: what the checksums of all blocks take on one core: at the learner's end once, and in each generator's pod.
- seconds: from there until all generators compute with it; pause_s: of these, how long the slowest wrote nothing.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from grpo_contract.config import Deadlines
from grpo_contract.weights import StagedWeights, checksum
from grpo_generator.engine import loadable
from grpo_generator.staging import Staging
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.update import Update
from grpo_trainer.fleet.weights import WeightServer
from perf import staged
from perf.result import Figures
from perf.training_report import table
from trainer.running_generator import RunningGenerator, run_config
from trainer.tiny_model import build_tokenizer

HIDDEN: Final = 512
VOCABULARY: Final = 16_384
LEARNING_RATE: Final = 1e-6
WARM_UP_STEPS: Final = 20
"""Of AdamW, whose first steps are larger than later ones."""
DEADLINE_S: Final = 300
ROUNDS: Final = 5


class Training:
    """A model whose weights move as in training; gradients are half signal, half noise."""

    def __init__(self, parameters: int) -> None:
        torch.manual_seed(0)
        self.model = Qwen2ForCausalLM(_config(parameters)).to(torch.bfloat16)
        self.masters = [torch.nn.Parameter(parameter.detach().float()) for parameter in self.model.parameters()]
        self._signal = [torch.randn_like(master) for master in self.masters]
        self._optimizer = torch.optim.AdamW(self.masters, lr=LEARNING_RATE)
        for _ in range(WARM_UP_STEPS):
            self.step()

    @property
    def num_parameters(self) -> int:
        return sum(master.numel() for master in self.masters)

    def step(self) -> float:
        """Returns the share of weights that changed."""
        for master, signal in zip(self.masters, self._signal, strict=True):
            master.grad = signal + torch.randn_like(master)
        self._optimizer.step()
        changed = 0
        for parameter, master in zip(self.model.parameters(), self.masters, strict=True):
            new = master.detach().to(torch.bfloat16)
            changed += int((new.view(torch.int16) != parameter.detach().view(torch.int16)).sum())
            parameter.data.copy_(new)
        return changed / self.num_parameters

    def publish(self, snapshot: Snapshot) -> float:
        """Returns the seconds that it took."""
        started = time.perf_counter()
        snapshot.publish(weight_tensor(name, parameter) for name, parameter in self.model.named_parameters())
        return time.perf_counter() - started

    def checksum(self) -> float:
        """Returns the seconds that it takes, of the model at once."""
        contents = [weight_tensor(name, parameter).data for name, parameter in self.model.named_parameters()]
        started = time.perf_counter()
        for content in contents:
            checksum(content)
        return time.perf_counter() - started


def _config(parameters: int) -> Qwen2Config:
    of_layer = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN // 4 + 3 * HIDDEN * 4 * HIDDEN
    return Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=max(1, round((parameters - VOCABULARY * HIDDEN) / of_layer)),
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )


def rows(training: Training, generators: Sequence[int]) -> list[Figures]:
    """Of so many generators each, that load by copying."""
    return [row for number in generators for row in _copied_rows(training, number)]


def vllm_rows(training: Training) -> list[Figures]:
    """One real generator, given its weights as in a run."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        training.model.save_pretrained(model)
        build_tokenizer().save_pretrained(model)
        config = run_config({"model_name_or_path": str(model), "bf16": True})
        generator = RunningGenerator(Path(folder), config, "generator-0")
        try:
            generator.wait_until_it_answers()
            return _rows(training, 1, "vLLM", Generator(generator.url, lambda: generator.token, Deadlines()).update)
        finally:
            generator.kill()


def _copied_rows(training: Training, generators: int) -> list[Figures]:
    models = [[torch.empty_like(parameter) for parameter in training.model.parameters()] for _ in range(generators)]
    stagings = [Staging() for _ in models]
    loads = [partial(_load, model) for model in models]
    with asyncio.Runner() as runner:
        return _rows(training, generators, "copy", lambda server: runner.run(staged.update(server, stagings, loads)))


def _rows(training: Training, generators: int, load: str, update: Callable[[WeightServer], Update]) -> list[Figures]:
    """Medians over ROUNDS, dense and delta in turns."""
    measured: dict[str, list[Figures]] = {"dense": [], "delta": []}
    for number in range(1 + ROUNDS):
        with closing(
            WeightServer("127.0.0.1", 0, DEADLINE_S)
        ) as server:  # as of another learner: nothing is known of it
            snapshot = Snapshot(server)
            for of_mode in measured.values():
                figures = _figures(training, snapshot, server, update)
                if number:  # processes have started, and memory is there: as in each step but the first
                    of_mode.append(figures)
    return [
        {"parameters": training.num_parameters, "mode": mode, "generators": generators, "load": load}
        | {name: median(figures[name] for figures in of_mode) for name in of_mode[0]}
        for mode, of_mode in measured.items()
    ]


def _figures(
    training: Training, snapshot: Snapshot, server: WeightServer, update: Callable[[WeightServer], Update]
) -> Figures:
    changed = training.step()
    publish_s = training.publish(snapshot)
    updated = update(server)
    return {
        "changed": round(changed, 4),
        "bytes": updated.size_bytes,
        "publish_s": round(publish_s, 3),
        "checksum_s": round(training.checksum(), 3),
        "seconds": round(updated.seconds, 3),
        "pause_s": round(updated.pause_s, 3),
    }


def _load(model: Sequence[torch.Tensor], weights: StagedWeights) -> float:
    started = time.perf_counter()
    for target, (_, tensor) in zip(model, loadable(weights), strict=True):
        target.copy_(tensor)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="perf.weight_sync", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parameters", type=int, default=64_000_000)
    parser.add_argument("--generators", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--vllm", action="store_true", help="a real generator, too")
    arguments = parser.parse_args()
    training = Training(arguments.parameters)
    measured = rows(training, arguments.generators)
    if arguments.vllm:
        measured += vllm_rows(training)
    print(table(measured))


if __name__ == "__main__":
    main()
