"""`python -m perf.weight_sync`, in the trainer's environment: what it costs to bring new weights to generators.

The learner's end and the processes that keep the mirrors are the real ones, over the loopback. A random-init Qwen2-style
model in bfloat16 is trained by AdamW with float32 masters, so that as many weights change as in training. The dense rows are
of generators that have nothing, the delta rows of the same ones one step later. A generator's load is real only with --vllm;
otherwise it is a copy of all tensors from the mirror, one generator per thread. Prints a table. It judges nothing.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from grpo_contract.config import Deadlines
from grpo_contract.weights import StageAnswer, StagedWeights
from grpo_generator.engine import loadable
from grpo_generator.staging import Staging
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.weights import WeightServer
from trainer.running_generator import RunningGenerator, run_config
from trainer.tiny_model import build_tokenizer

HIDDEN: Final = 512
VOCABULARY: Final = 16_384
LEARNING_RATE: Final = 1e-6
WARM_UP_STEPS: Final = 20
"""Of AdamW, whose first steps are larger than later ones."""
DEADLINE_S: Final = 300


@dataclass(frozen=True)
class Row:
    parameters: int
    mode: str
    generators: int
    load: str
    """What stands for a generator's load of what was staged."""
    changed: float
    """Share of the weights whose bits differ from the version before."""
    bytes: int
    """Sent to one generator."""
    publish_s: float
    """Until the learner has made the version: it trains on after that, where completions may be of older weights."""
    seconds: float
    """From there until all generators have it."""
    pause_s: float
    """Of these, how long the slowest one wrote nothing."""


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


def copied_rows(training: Training, generators: int) -> list[Row]:
    return asyncio.run(_copied_rows(training, [Staging() for _ in range(generators)]))


async def _copied_rows(training: Training, stagings: Sequence[Staging]) -> list[Row]:
    models = [[torch.empty_like(parameter) for parameter in training.model.parameters()] for _ in stagings]
    rows = []
    with closing(WeightServer("127.0.0.1", 0, DEADLINE_S)) as another:
        training.publish(Snapshot(another))
        await _sync(another, stagings, models)  # processes start, memory is there: as in each step but the first
    with closing(WeightServer("127.0.0.1", 0, DEADLINE_S)) as server:
        snapshot = Snapshot(server)
        for mode in ("dense", "delta"):
            changed = training.step()
            publish_s = training.publish(snapshot)
            started = time.perf_counter()
            sent, pause_s = await _sync(server, stagings, models)
            seconds = time.perf_counter() - started
            rows.append(
                Row(training.num_parameters, mode, len(stagings), "copy", changed, sent, publish_s, seconds, pause_s)
            )
    return rows


async def _sync(
    server: WeightServer, stagings: Sequence[Staging], models: Sequence[Sequence[torch.Tensor]]
) -> tuple[int, float]:
    """All generators at once. Returns the bytes for one of them, and the longest load."""
    with ExitStack() as offers:
        offerings = [offers.enter_context(server.offering()) for _ in stagings]
        orders = [offering.offer.model_dump_json().encode() for offering in offerings]
        answers = await asyncio.gather(*(staging.stage(order) for staging, order in zip(stagings, orders, strict=True)))
    paths = [StageAnswer.model_validate_json(answer).path for answer in answers]
    staged = [
        StagedWeights(path=path, version=offering.version, tensors=offering.offer.tensors)
        for path, offering in zip(paths, offerings, strict=True)
    ]
    with ThreadPoolExecutor(len(stagings)) as pool:
        pauses = list(pool.map(_load, staged, models))
    return offerings[0].sent_bytes, max(pauses)


def _load(staged: StagedWeights, model: Sequence[torch.Tensor]) -> float:
    started = time.perf_counter()
    for target, (_, tensor) in zip(model, loadable(staged), strict=True):
        target.copy_(tensor)
    return time.perf_counter() - started


def vllm_rows(training: Training, folder: Path) -> list[Row]:
    """One real generator, given its weights as in a run."""
    model = folder / "model"
    training.model.save_pretrained(model)
    build_tokenizer().save_pretrained(model)
    generator = RunningGenerator(folder, run_config({"model_name_or_path": str(model), "bf16": True}), "generator-0")
    try:
        generator.wait_until_it_answers()
        client = Generator(generator.url, lambda: generator.token, Deadlines())
        with closing(WeightServer("127.0.0.1", 0, DEADLINE_S)) as another:
            training.publish(Snapshot(another))
            client.update(another)
        with closing(WeightServer("127.0.0.1", 0, DEADLINE_S)) as server:
            snapshot = Snapshot(server)
            return [_updated(training, client, server, snapshot, mode) for mode in ("dense", "delta")]
    finally:
        generator.kill()


def _updated(training: Training, client: Generator, server: WeightServer, snapshot: Snapshot, mode: str) -> Row:
    changed = training.step()
    publish_s = training.publish(snapshot)
    update = client.update(server)
    return Row(
        *(
            training.num_parameters,
            mode,
            1,
            "vLLM",
            changed,
            update.size_bytes,
            publish_s,
            update.seconds,
            update.pause_s,
        )
    )


def table(rows: Sequence[Row]) -> str:
    names = [field.name for field in fields(Row)]
    lines = ["".join(f"{name:>14}" for name in names)]
    for row in rows:
        values = (getattr(row, name) for name in names)
        lines.append("".join(f"{value:>14.4f}" if isinstance(value, float) else f"{value:>14}" for value in values))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.weight_sync", description=__doc__)
    parser.add_argument("--parameters", type=int, default=64_000_000)
    parser.add_argument("--generators", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--vllm", action="store_true", help="a real generator, too")
    arguments = parser.parse_args()
    training = Training(arguments.parameters)
    rows = [row for number in arguments.generators for row in copied_rows(training, number)]
    if arguments.vllm:
        with tempfile.TemporaryDirectory() as folder:
            rows += vllm_rows(training, Path(folder))
    print(table(rows))


if __name__ == "__main__":
    main()
