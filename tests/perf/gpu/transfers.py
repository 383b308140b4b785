"""`python -m perf.gpu.transfers SIZE MODEL OUT`: new weights to generators, all of them and only what changed.

The weights are those of a training under ZeRO-3 at learning rate 1e-6. The learner's end and the processes that keep the mirrors
are the real ones, over the loopback. What a generator does while it stands still is, here, to copy the mirror to the GPU.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import torch

from grpo_contract.weights import StagedWeights
from grpo_generator.mirror import tensors_of
from grpo_generator.staging import Staging
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.weights import WeightServer
from perf.gpu.changes import WARM_UP
from perf.gpu.seam import WithoutFleet, learner_with
from perf.gpu.sizes import SIZES
from perf.gpu.snapshot import timed
from perf.result import Figures, write
from perf.staged import update

GENERATORS: Final = (1, 2, 4)
STEPS: Final = WARM_UP + 2 * len(GENERATORS)
"""Two for each number of generators: in the first one they get all weights, as newcomers whose processes are starting."""
HOST: Final = "127.0.0.1"
DEADLINE_S: Final = 120


class Transferring(WithoutFleet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server = WeightServer(HOST, 0, DEADLINE_S)
        self._snapshot = Snapshot(self._server)
        self._syncs = 0
        self._loop = asyncio.new_event_loop()
        self._stagings = [Staging() for _ in range(max(GENERATORS))]
        self.rows: list[Figures] = []

    def sync_weights(self) -> None:
        number, self._syncs = self._syncs - WARM_UP, self._syncs + 1
        if number < 0:
            return
        place, is_second = divmod(number, 2)
        stagings = self._stagings[: GENERATORS[place]]
        delta = self._sync("delta", self._snapshot, self._server, stagings)
        if not is_second:
            return
        with closing(WeightServer(HOST, 0, DEADLINE_S)) as stranger:  # of whose versions generators have none
            self.rows += [delta, self._sync("dense", Snapshot(stranger), stranger, stagings)]

    def _sync(self, mode: str, snapshot: Snapshot, server: WeightServer, stagings: Sequence[Staging]) -> Figures:
        publish_s, _ = timed(lambda: snapshot.publish(weight_tensor(name, weight) for name, weight in self.weights()))
        updated = self._loop.run_until_complete(update(server, stagings, [load] * len(stagings)))
        return {
            "mode": mode,
            "generators": len(stagings),
            "bytes": updated.size_bytes,
            "publish_s": round(publish_s, 4),
            "seconds": round(updated.seconds, 4),
            "pause_s": round(updated.pause_s, 4),
        }


def load(staged: StagedWeights) -> float:
    """Seconds for a copy of all tensors to the device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def copied() -> list[torch.Tensor]:
        return [torch.frombuffer(data, dtype=torch.uint8).to(device, copy=True) for _, data in tensors_of(staged)]

    elapsed, _ = timed(copied)
    return elapsed


def main() -> None:
    name, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with learner_with(Transferring, SIZES[name], model, STEPS) as learner:
        learner.train()
        rows: list[dict[str, Any]] = learner.vllm_generation.rows
    write({"transfers": [{"parameters": SIZES[name].parameters, **row} for row in rows]}, out)


if __name__ == "__main__":
    main()
