"""TRL's seam for generation, filled with the fleet.

TRL builds no vLLM client when use_vllm is false. So GRPOTrainer.__init__ runs with false, and `vllm_generation` is
filled in afterwards: TRL then calls sync_weights() and generate() at the right moments and keeps its
importance-sampling correction and its sampling/* metrics. (Its `rollout_func` seam would lose all three.)

Rank 0 alone talks to generators; completions come to the ranks in the background (courier.py). Every collective runs on the
main thread of every rank.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, Final, NoReturn

import torch
from accelerate.utils import broadcast_object_list, gather_object, is_peft_model

from grpo_contract.config import Deadlines
from grpo_contract.failure import Failure, PodReason, UserError
from grpo_contract.weights import TensorInfo
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.failing import fail
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.courier import Courier, receive
from grpo_trainer.fleet.discovery import Discovery
from grpo_trainer.fleet.fleet import Fleet
from grpo_trainer.fleet.gathering import gathered
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.inbox import Batch, Inbox
from grpo_trainer.fleet.observer import FleetObserver
from grpo_trainer.fleet.roster import Roster
from grpo_trainer.fleet.seeds import seeds_of
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.weights import WeightServer, WeightTensor
from grpo_trainer.fleet.wire import LONGEST_SILENCE_S, Exchange, call, connect
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.light_trl import GRPOTrainer, VLLMGeneration

SYNC: Final[Batch] = "sync"
"""A batch of nothing, which is complete when generators have the newest weights."""


@dataclass(frozen=True)
class FleetSettings:
    discovery: Discovery
    read_token: Callable[[], str]
    weights_host: str
    """Address of this pod, under which generators fetch the weights."""
    weights_port: int
    deadlines: Deadlines
    observer: FleetObserver
    is_asked_to_end: Callable[[], bool] = lambda: False
    """Whether this pod is."""
    max_staleness: int = 0
    """How many versions older than the learner's the weights may be that completions were sampled from; versions are those
    that generators are given for training."""


class FleetGeneration(VLLMGeneration):  # type: ignore[misc]
    """VLLMGeneration keeps the names that vLLM knows parameters by; its walk over them and its transport are replaced."""

    def __init__(self, settings: FleetSettings, *, seed: int, **kwargs: Any) -> None:
        self._settings = settings
        self._seed = seed
        self.inbox = Inbox()
        self.num_versions = 0
        """Of the weights, published so far."""
        self.oldest_taken: int | None = None
        """Of them, which training still takes completions of; None: the newest."""
        self.wanted: Batch | None = None
        """Which batch TRL wants next; None for one that was not asked for."""
        self.may_break_off = False
        """Whether ranks may leave the next wait for completions because a pod is asked to end. The same on all of them."""
        self.sampled_from: Sequence[int] = ()
        """Of the completions that TRL got last: which versions of the weights their first tokens were sampled from."""
        self._prompts: dict[Batch, list[list[int]]] = {}
        """Of this rank, by batch that was asked for."""
        super().__init__(mode="server", logprobs=0, **kwargs)

    def _init_vllm(self) -> None:
        settings, deadlines = self._settings, self._settings.deadlines
        exchange = Exchange(settings.weights_host, _end_without) if self.accelerator.is_main_process else None
        (address,) = broadcast_object_list([exchange and exchange.address], from_process=0)
        if exchange is None:
            self._rank_0 = connect(address, self.accelerator.process_index)
            receive(self._rank_0, self.inbox, max(deadlines.collective_s, LONGEST_SILENCE_S), _end_without)
        else:
            self._exchange = exchange
            exchange.wait_for(self.accelerator.num_processes - 1)
            self._weights = WeightServer(settings.weights_host, settings.weights_port, deadlines.weight_sync_s)
            self._snapshot = Snapshot(self._weights)
            roster = Roster(
                settings.discovery, self._weights, self._connect, settings.observer, lambda: self.oldest_taken
            )
            self._courier = Courier(Fleet(roster, settings.observer, deadlines.generators_s), self.inbox, exchange)
        self.accelerator.wait_for_everyone()

    @property
    def max_staleness(self) -> int:
        return self._settings.max_staleness

    def _connect(self, url: str) -> Generator:
        return Generator(url, self._settings.read_token, self._settings.deadlines)

    def sync_weights(self) -> None:
        self.num_versions += 1
        parameters = self._iter_named_params()  # gathers: every rank takes part
        if self.accelerator.is_main_process:
            self._snapshot.publish(starmap(weight_tensor, parameters))
            self._settings.observer.published(self._weights.version, self._weights.count)
        else:
            deque(parameters, maxlen=0)
        if self.max_staleness == 0:  # else generators get them with the next batch that they are asked for
            self._await_sync()

    def _await_sync(self) -> None:
        """On every rank: a collective's time-out knows nothing of what a sync may take."""
        self.inbox.expect(SYNC, 0)
        self.accelerator.wait_for_everyone()  # until all expect it
        if self.accelerator.is_main_process:
            self._courier.tell_end(SYNC, Fleet.sync)
        with MAIN_THREAD.within(Step.WEIGHT_SYNC):
            self.inbox.take(SYNC)

    def _iter_named_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        if is_peft_model(self.model):
            from grpo_trainer.fleet.merged_weights import merged_parameters  # peft, which other runs have not

            return merged_parameters(self.model, self._dist.gather_params)
        named = self.model.named_parameters()
        return gathered(
            ((self._fix_param_name_to_vllm(name), parameter) for name, parameter in named), self._dist.gather_params
        )

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
        batch, self.wanted = self.wanted, None
        if batch is None:
            self.ask(batch := "asked for now", prompts, num_generations)
        assert self._prompts.pop(batch) == prompts, f"batch {batch} is not the one that was asked for"
        completions = self._take(batch)
        self.sampled_from = [completion.oldest for completion in completions]
        return _in_trl_form(prompts, completions)

    def _take(self, batch: Batch) -> Sequence[Completion]:
        may_break_off, self.may_break_off = self.may_break_off, False
        with MAIN_THREAD.within(Step.GENERATE, sign=self._sign_of_completions):
            if not may_break_off:
                return self.inbox.take(batch)
            return self.inbox.take(batch, meanwhile=lambda: self._break_off_if_asked(batch))

    def _sign_of_completions(self) -> int:
        """Rank 0 sees to it that requests come to an end; the others, that rank 0 is there."""
        return self._courier.num_ended if self.accelerator.is_main_process else self.inbox.num_heard

    def _break_off_if_asked(self, batch: Batch) -> None:
        """Rank 0 decides, so that either all ranks leave the wait or none."""
        is_asked = self._settings.is_asked_to_end()
        if not self.accelerator.is_main_process:
            if is_asked:
                call(self._rank_0)
        elif self._exchange.is_called() or is_asked:
            self._courier.break_off(batch, AskedToEnd("while completions were waited for").failure)

    def ask(self, batch: Batch, prompts: list[list[int]], num_generations: int) -> None:
        """For completions of `prompts`, which are as in `generate`; they come to the inbox. A collective. What TRL wants next
        comes before what was asked for ahead. Random numbers are those of the batch's name."""
        self._prompts[batch] = prompts
        self.inbox.expect(batch, len(prompts))
        groups = gather_object(prompts)[::num_generations]
        if self.accelerator.is_main_process:
            sampling, first = self._sampling(), batch == self.wanted
            own_seed = self.generation_kwargs.get("seed")
            seeds = seeds_of(self._seed if own_seed is None else own_seed, batch, len(groups))
            self._courier.ask(
                batch, lambda fleet: fleet.submit(groups, num_generations, sampling, seeds, first=first), first=first
            )

    def forget(self) -> None:
        """What was asked for and is not wanted any more. On every rank."""
        self.inbox.forget()
        if self.accelerator.is_main_process:
            self._courier.forget(list(self._prompts))
        self._prompts.clear()

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
            seed=self.args.seed,
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
    """On the CPU its bytes are the tensor's own."""
    on_host = tensor.detach().to("cpu").contiguous()
    info = TensorInfo(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=tuple(tensor.shape))
    return WeightTensor(info, memoryview(on_host.reshape(-1).view(torch.uint8).numpy()))


def _in_trl_form(
    prompts: list[list[int]], completions: Sequence[Completion]
) -> tuple[list[list[int]], list[list[int]], list[list[list[float | None]]], list[list[list[int]]]]:
    return (
        prompts,
        [completion.token_ids for completion in completions],
        [[[logprob] for logprob in completion.logprobs] for completion in completions],
        [[[token_id] for token_id in completion.token_ids] for completion in completions],
    )


def _end_without(rank: int) -> NoReturn:
    message = (
        f"learner process {rank} has taken nothing and said nothing for too long: its node, or the network between learners, may "
        "be gone. Look at the cluster's nodes."
    )
    fail(Failure(reason=PodReason.LEARNER_ERROR, message=message), 1)
