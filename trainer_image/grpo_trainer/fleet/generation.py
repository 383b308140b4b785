"""TRL's seam for generation, filled with the fleet.

TRL builds no vLLM client when use_vllm is false. So GRPOTrainer.__init__ runs with false, and `vllm_generation` is
filled in afterwards: TRL then calls sync_weights() and generate() at the right moments and keeps its
importance-sampling correction and its sampling/* metrics. (Its `rollout_func` seam would lose all three.)

Rank 0 alone talks to generators. Every collective runs on the main thread of every rank.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from accelerate.utils import broadcast_object_list, gather_object, is_peft_model

from grpo_contract.config import Deadlines
from grpo_contract.failure import Failure, PodReason, UserError
from grpo_contract.weights import TensorInfo
from grpo_trainer.fleet.discovery import Discovery
from grpo_trainer.fleet.errors import GeneratorsLost
from grpo_trainer.fleet.fleet import Fleet, Ticket
from grpo_trainer.fleet.generator import Completion, Generator
from grpo_trainer.fleet.observer import FleetObserver
from grpo_trainer.fleet.roster import Roster
from grpo_trainer.fleet.weights import WeightServer, WeightTensor
from grpo_trainer.light_trl import GRPOTrainer, VLLMGeneration

PORTION_S: Final = 1.0
"""How often completions go from rank 0 to the others, which wait in a collective for it, and so never for longer than one
may take."""

Portion = dict[int, Completion]
"""By their places in the batch of all ranks."""

Arrived = Mapping[int, list[int]]
"""The tokens of completions, by their places in the batch of this rank."""


@dataclass(frozen=True)
class FleetSettings:
    discovery: Discovery
    read_token: Callable[[], str]
    weights_host: str
    """Address of this pod, under which generators fetch the weights."""
    weights_port: int
    deadlines: Deadlines
    observer: FleetObserver


class FleetGeneration(VLLMGeneration):  # type: ignore[misc]
    """VLLMGeneration keeps its walk over the parameters (ZeRO-3), but for an adapter's; its transport is replaced."""

    def __init__(self, settings: FleetSettings, **kwargs: Any) -> None:
        self._settings = settings
        self.arrived: Callable[[Arrived], None] = lambda completions: None
        """Called on every rank with completions of its own, some at a time, while others are still being written."""
        super().__init__(mode="server", logprobs=0, **kwargs)

    def _init_vllm(self) -> None:
        if self.accelerator.is_main_process:
            settings, deadlines = self._settings, self._settings.deadlines
            self._weights = WeightServer(settings.weights_host, settings.weights_port, deadlines.weight_sync_s)
            roster = Roster(settings.discovery, self._weights, self._connect, settings.observer)
            self._fleet = Fleet(roster, settings.observer, deadlines.generators_s)
        self.accelerator.wait_for_everyone()

    def _connect(self, url: str) -> Generator:
        return Generator(url, self._settings.read_token, self._settings.deadlines)

    def sync_weights(self) -> None:
        if self.accelerator.is_main_process:
            self._weights.withdraw()  # before the new ones take as much memory
        tensors = []
        for name, parameter in self._iter_named_params():  # gathers: every rank takes part
            if self.accelerator.is_main_process:
                tensors.append(weight_tensor(name, parameter))
        if self.accelerator.is_main_process:
            self._weights.publish(tensors)
            self._settings.observer.published(self._weights.version, self._weights.count)
            self._fleet.sync()

    def _iter_named_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        if is_peft_model(self.model):
            from grpo_trainer.fleet.merged_weights import merged_parameters  # peft, which other runs have not

            return merged_parameters(self.model, self._dist.gather_params)
        parameters: Iterator[tuple[str, torch.Tensor]] = super()._iter_named_params()
        return parameters

    def generate(
        self, prompts: list[list[int]], images: list[Any] | None, num_generations: int, profiler: Any = None
    ) -> tuple[list[list[int]], list[list[int]], list[list[list[float | None]]], list[list[list[int]]]]:
        """TRL's contract: `prompts` holds each prompt num_generations times on this rank; the answer is in their order.

        Returns:
            Prompts; completions; log-probabilities and their token ids, tokens x 1 for each completion.
        """
        if images is not None:
            raise UserError(
                PodReason.INVALID_RECIPE,
                "spec.recipe.dataset_name or dataset_mixture: the prompts come with images (column image or images), and "
                "generators take text only; name a data set of text, or list the columns to keep in an entry of dataset_mixture.",
            )
        prompts_of_all_ranks = gather_object(prompts)
        tickets: list[Ticket] = []
        self._on_main(partial(self._submit, tickets, prompts_of_all_ranks[::num_generations], num_generations))
        first = self.accelerator.process_index * len(prompts)
        own = range(first, first + len(prompts))
        completions: Portion = {}
        while len(completions) < len(prompts_of_all_ranks):
            portion = self._on_main(partial(self._next_portion, tickets, num_generations, completions))
            completions |= portion
            self.arrived({place - first: portion[place].token_ids for place in own if place in portion})
        return _in_trl_form(prompts, [completions[place] for place in own])

    def _submit(self, tickets: list[Ticket], prompts: list[list[int]], num_generations: int) -> Portion:
        tickets += self._fleet.submit(prompts, num_generations, self._sampling())
        return {}

    def _next_portion(self, tickets: list[Ticket], num_generations: int, known: Portion) -> Portion:
        """What is not yet known of the tickets' completions; after PORTION_S, or once all are there."""
        self._fleet.wait(tickets, PORTION_S)
        return {
            number * num_generations + place: completion
            for number, ticket in enumerate(tickets)
            if number * num_generations not in known
            for place, completion in enumerate(ticket.completions or ())
        }

    def _on_main(self, poll: Callable[[], Portion]) -> Portion:
        """What rank 0 gets from `poll`, on all ranks; so is a failure.

        Raises:
            GeneratorsLost, UserError: as rank 0 met it.
        """
        outcome: Portion | Failure | None = None
        if self.accelerator.is_main_process:
            try:
                outcome = poll()
            except (GeneratorsLost, UserError) as error:
                outcome = error.failure
        shared: list[Any] = [outcome]
        broadcast_object_list(shared, from_process=0)
        outcome = shared[0]
        if not isinstance(outcome, Failure):
            return outcome
        if outcome.reason == PodReason.GENERATORS_LOST:
            raise GeneratorsLost(outcome.message)
        raise UserError(outcome.reason, outcome.message)

    def _sampling(self) -> dict[str, Any]:
        sampling: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p or 0.0,
            "repetition_penalty": self.repetition_penalty,
            "max_tokens": self.max_completion_length,
            "logprobs": self.logprobs,
        }
        if self.structured_outputs_regex is not None:
            sampling["structured_outputs"] = {"regex": self.structured_outputs_regex}
        return {**sampling, **self.generation_kwargs}


class FleetGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer(args with use_vllm false) whose completions come from the run's generators."""

    def __init__(self, *args: Any, fleet: FleetSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.use_vllm = True
        self.vllm_mode = "server"
        self._last_loaded_step = -1
        self.vllm_generation = FleetGeneration(
            fleet,
            model=self.model,
            accelerator=self.accelerator,
            processing_class=self.processing_class,
            structured_outputs_regex=self.args.vllm_structured_outputs_regex,
            repetition_penalty=self.repetition_penalty,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            max_completion_length=self.max_completion_length,
            generation_kwargs=self.args.generation_kwargs,
        )


def weight_tensor(name: str, tensor: torch.Tensor) -> WeightTensor:
    """A copy in host memory, so that training may go on while generators pull."""
    on_host = tensor.detach().to("cpu", copy=True).contiguous()
    info = TensorInfo(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=tuple(tensor.shape))
    return WeightTensor(info, memoryview(on_host.reshape(-1).view(torch.uint8).numpy()))


def _in_trl_form(
    prompts: list[list[int]], completions: list[Completion]
) -> tuple[list[list[int]], list[list[int]], list[list[list[float | None]]], list[list[list[int]]]]:
    return (
        prompts,
        [completion.token_ids for completion in completions],
        [[[logprob] for logprob in completion.logprobs] for completion in completions],
        [[[token_id] for token_id in completion.token_ids] for completion in completions],
    )
