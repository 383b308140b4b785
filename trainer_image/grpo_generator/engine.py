"""vLLM's side of a weight update: the worker loads the tensors as if from a checkpoint, out of the mirror in the pod's memory.

Nothing is kept between updates: there is no process group to rendezvous, so generators may die, restart and join
at any time and nobody else notices. vLLM loads this module in its worker processes; the learner never imports it.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from vllm.distributed.weight_transfer.base import WeightTransferEngine, WeightTransferInitInfo
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info

from grpo_contract.weights import StagedWeights, TensorInfo
from grpo_generator.mirror import tensors_of


@dataclass
class NoInitInfo(WeightTransferInitInfo):  # type: ignore[misc]
    """Nothing is needed before the first update."""


class MirrorEngine(WeightTransferEngine[NoInitInfo, StagedWeights]):  # type: ignore[misc]
    """One per worker: with tensor parallelism each worker reads the whole mirror and keeps its part."""

    init_info_cls = NoInitInfo
    update_info_cls = StagedWeights

    def init_transfer_engine(self, init_info: NoInitInfo) -> None:
        pass

    def start_weight_update(self) -> None:
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: StagedWeights) -> None:
        with contextlib.ExitStack() as failing:
            failing.callback(self._abandon)
            self.model.load_weights(loadable(update_info))
            failing.pop_all()

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)
        refresh_tied_heads(self.model)
        # It warns of layers that no tensor came for (tied heads, rotary tables), the same ones at each update.
        logging.getLogger(finalize_layerwise_reload.__module__).setLevel(logging.ERROR)

    def shutdown(self) -> None:
        pass

    def _abandon(self) -> None:
        """Leave a model that runs. vLLM closes the update when it fails, with layers half loaded on the meta device.

        A layer that was loaded completely keeps the new weights, all others get their old ones back; the version stays
        the old one, which no learner wants any more. What was received of a layer must be forgotten: the next update
        would count it as loaded and leave the rest of that layer uninitialized.
        """
        for layer in self.model.modules():
            info = get_layerwise_info(layer)
            if info.can_load():
                info.loaded_weights.clear()
                info.load_numel = 0
        self.finish_weight_update()


def loadable(staged: StagedWeights) -> Iterator[tuple[str, torch.Tensor]]:
    return ((info.name, _tensor(info, data)) for info, data in tensors_of(staged))


def _tensor(info: TensorInfo, data: memoryview) -> torch.Tensor:
    dtype = getattr(torch, info.dtype)
    if not data:
        return torch.empty(info.shape, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype).view(info.shape)


def refresh_tied_heads(model: nn.Module) -> None:
    """Pack the copy anew that vLLM's CPU backend computes a tied output head with.

    No weight is ever loaded into a tied head by its name, so the layerwise reload leaves that copy (`cpu_linear`) as it
    was: the server would sample from new layers under the old head.
    """
    for module in model.modules():
        if isinstance(module, VocabParallelEmbedding) and hasattr(module, "cpu_linear"):
            module.quant_method.process_weights_after_loading(module)
