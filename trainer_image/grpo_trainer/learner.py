"""TRL's GRPOTrainer with a fleet behind it, timed and counted seams, and a resume that continues digit for digit.

The algorithm is TRL's. Every method here calls TRL's own and looks at what went in or came out.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate.utils import gather_object
from transformers import BitsAndBytesConfig

from grpo_contract.metrics import Phase
from grpo_trainer.batches import save_batches
from grpo_trainer.ending import Ending
from grpo_trainer.evaluating.comparison import check_metric, comparable, compared_key
from grpo_trainer.evaluating.evaluation import apart_from_training
from grpo_trainer.evaluating.following import follow
from grpo_trainer.inputs.streams import Undivided, place_in_stream
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.instruments.mismatch import SamplerMismatch
from grpo_trainer.instruments.padding import Padding
from grpo_trainer.instruments.phases import PhaseClock
from grpo_trainer.rewards.watch import RewardErrors, RewardWatch
from grpo_trainer.sampling.dynamic_sampling import DynamicSamplingTrainer
from grpo_trainer.sampling.spread import without_failed
from grpo_trainer.storage.checkpoint_files import QUANTISATION
from grpo_trainer.storage.checkpoints import folder_of
from grpo_trainer.storage.keeper import CheckpointKeeper
from grpo_trainer.storage.midway import save_midway
from grpo_trainer.storage.other_ranks import loadable
from grpo_trainer.storage.reference import gather_reference, load_reference, write_reference
from grpo_trainer.storage.resuming import damage_of_best
from grpo_trainer.storage.starting_states import forget_comparisons
from grpo_trainer.storage.verification import Finding
from grpo_trainer.storage.writing import GuardedEngine, guard

log = logging.getLogger(__name__)


class Learner(DynamicSamplingTrainer):
    """`clock`, `watch`, `tokens` and `padding` are for the report: seconds per phase, and counts since they were last taken."""

    def __init__(
        self,
        *,
        rewards: Mapping[str, Callable[..., Any]],
        watch: RewardWatch,
        max_prompt_length: int | None = None,
        keeper: CheckpointKeeper | None = None,
        ending: Ending | None = None,
        compared_by: str | None = None,
        quantization_config: BitsAndBytesConfig | None = None,
        **kwargs: Any,
    ) -> None:
        """`rewards` are reward functions by the recipe's names, under which TRL logs them: rewards/<name>/mean. `watch` is
        told by them what failed. `keeper`, one of the callbacks, saves what evaluations make worth saving; `ending`, another
        one, what there is when a pod is asked to end.
        `compared_by` is metric_for_best_model where something compares evaluations. `quantization_config` is of the base, and
        saved with the adapter."""
        self.watch = watch
        self.keeper = keeper
        self.ending = ending
        self.compared_by = compared_by
        self.max_prompt_length = max_prompt_length
        self.quantisation = quantization_config
        self.clock = PhaseClock()
        self.mismatch = SamplerMismatch()
        self.padding = Padding()
        self._last_logps = torch.empty(0)
        """Of the last pass, completions x tokens."""
        self.last_tokens: tuple[list[list[int]], list[list[int]]] = ([], [])
        """Of prompts and completions of this rank's last batch."""
        self.generated: Callable[[], None] = lambda: None
        """Called on all ranks when the completions of a batch that is learnt from have their advantages."""
        self.scored: Callable[[], None] = lambda: None
        """Called when completions have been scored, before what failed can end the run."""
        self.compared: Callable[[Any, Any], None] = lambda args, state: None
        """Called when an evaluation has been compared with those before it."""
        self.train_sampler: Any = None
        super().__init__(reward_funcs=list(rewards.values()), quantization_config=quantization_config, **kwargs)
        self.reward_func_names = list(rewards)
        self.tokens = {"prompt": 0, "completion": 0}
        self.last_evaluation: tuple[int, dict[str, float]] | None = None
        """The step that it was made at, and its results."""
        self.best_step_loaded: int | None = None
        self.lost_best: Finding | None = None
        """What is wrong with the checkpoint that was to be loaded after the last step."""
        self.starts_elsewhere = False
        """Its training begins at a checkpoint of another one."""
        self._told_of: set[tuple[str, str]] = set()
        self._told_of_no_figure = False

    def take_tokens(self) -> dict[str, int]:
        taken, self.tokens = self.tokens, {"prompt": 0, "completion": 0}
        return taken

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with apart_from_training(self):
            results: dict[str, float] = super().evaluate(*args, **kwargs)
        if self.compared_by is not None and self.is_in_train:
            check_metric(self.compared_by, results)
            self._tell_of_no_figure(compared_key(self.compared_by), results)
        self.last_evaluation = self.state.global_step, results
        return results

    def _tell_of_no_figure(self, key: str, results: Mapping[str, Any]) -> None:
        if comparable(results[key]) is None and not self._told_of_no_figure and self.is_world_process_zero():
            self._told_of_no_figure = True
            log.warning(
                "the evaluation of step %d has no %s, and is not compared with others (said once)",
                *(self.state.global_step, key),
            )

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        results: dict[str, float] = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler=True)
        if self.compared_by is not None and not skip_scheduler:
            follow(self.lr_scheduler, results[compared_key(self.compared_by)])
        return results

    def _determine_best_metric(self, metrics: dict[str, Any], trial: Any) -> bool:
        """With save_strategy best, transformers saves what this says, and nothing else."""
        metric = self.args.metric_for_best_model
        has_figure = metric is not None and comparable(metrics.get(compared_key(metric))) is not None
        is_best = has_figure and super()._determine_best_metric(metrics=metrics, trial=trial)
        if is_best:
            self.state.best_global_step = self.state.global_step  # transformers' only where it saves
        self.compared(self.args, self.state)
        if self.keeper is None:
            return bool(is_best)
        self.control.should_save = self.keeper.evaluated(self.args, self.state, is_best)
        return bool(self.control.should_save)

    def _load_best_model(self) -> None:
        """After the last step. Generators are told by the next evaluation."""
        best_step = self.state.best_global_step
        if best_step == self.state.global_step:
            return
        best = Path(self.state.best_model_checkpoint)
        with MAIN_THREAD.within(Step.LOAD):
            self.lost_best = damage_of_best(best)
            if self.lost_best is not None:
                self.state.best_global_step = self.state.best_model_checkpoint = None
                return
            with loadable(best, self.deepspeed):
                super()._load_best_model()
        self.best_step_loaded = best_step
        self._last_loaded_step = -1

    @property
    def trained_step(self) -> int:
        """The step that its weights are of."""
        step: int = self.state.global_step if self.best_step_loaded is None else self.best_step_loaded
        return step

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        MAIN_THREAD.has_loaded()  # also where it begins with completions that a checkpoint holds
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        return loss

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        MAIN_THREAD.has_loaded()
        if self.state.global_step != self._last_loaded_step:  # as TRL does, which then has nothing left to sync
            with self.clock.phase(Phase.WEIGHT_SYNC):
                self.vllm_generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        with self.clock.phase(Phase.GENERATE):
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        """As TRL did until 0.18: of a prompt that is too long, rendered with its template, the last tokens are kept.

        Generators get the same tokens; TRL's of then, 0.14 to 0.18, generated from the whole prompt.
        """
        prompt_ids, *others = super()._tokenize_prompts(prompts)
        if self.max_prompt_length is not None:
            prompt_ids = [ids[-self.max_prompt_length :] for ids in prompt_ids]
        return prompt_ids, *others

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        is_between_steps = self.ending is not None and self.ending.is_between_steps
        self.vllm_generation.may_break_off = self.model.training and is_between_steps
        result: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.model.training:
            self.padding.see(result, self.accelerator.reduce)
            self.generated()
        return result

    def _generate(self, prompts: list[Any]) -> Any:
        result = super()._generate(prompts)
        self.last_tokens = result[:2]
        lengths = [sum(map(len, ids)) for ids in self.last_tokens]
        prompt, completion = self.accelerator.reduce(torch.tensor(lengths, device=self.accelerator.device)).tolist()
        self.tokens["prompt"] += prompt
        self.tokens["completion"] += completion
        return result

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Completions of all ranks x reward functions; NaN where a function gave no reward, or where one failed.

        Raises:
            UserError: too many have failed.
        """
        with self.clock.phase(Phase.REWARD):
            scores: torch.Tensor = super()._calculate_rewards(*args, **kwargs)
            of_ranks = gather_object([self.watch.take_batch()])
        lost_share = torch.isinf(self.all_scores).any(dim=1).float().mean().item()
        errors = self.watch.see(of_ranks, lost_share, is_training=self.model.training)
        self._tell_of(errors, len(self.all_scores))
        self.scored()
        self.watch.check()
        return without_failed(scores)

    def _score(self, *args: Any) -> torch.Tensor:
        with self.clock.phase(Phase.REWARD):
            return super()._score(*args)

    def _tell_of(self, errors: RewardErrors, num_completions: int) -> None:
        """Once per function and reason, on one rank."""
        for (name, reason), count in errors.counts.items():
            if (name, reason) not in self._told_of and self.is_world_process_zero():
                self._told_of.add((name, reason))
                log.warning(
                    "reward function %s gave no score to %d of %d completions: %s: %s (said once)",
                    *(name, count, num_completions, reason.value, errors.examples[name, reason]),
                )

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._last_logps = result[0].detach()
        return result

    def _compute_loss(self, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Without TRL's correction, TRL says nothing of how far generators are from the learner. What tells is there all
        the same: log-probabilities under the weights that the completions were sampled from. TRL computes them on the
        side where these weights change before all completions are learnt from, and else they are the loss's own.
        """
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        if not self.vllm_importance_sampling_correction:
            own = inputs.get("old_per_token_logps", self._last_logps)
            self.mismatch.see(own, inputs["sampling_per_token_logps"], inputs["completion_mask"])
            if self.accelerator.sync_gradients:  # the step's last pass
                mode = "train" if self.model.training else "eval"
                for key, value in self.mismatch.take(self.accelerator.gather).items():
                    self._metrics[mode][key].append(value)
        return loss

    def save_model(self, *args: Any, **kwargs: Any) -> None:
        """Training uses no cache, and transformers writes so into the configuration; whoever loads the model generates."""
        config = self.model.config
        in_training, config.use_cache = config.use_cache, True
        try:
            super().save_model(*args, **kwargs)
        finally:
            config.use_cache = in_training

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL's, beside the checkpoints, would name neither model nor data. `model_card.py` writes the trained model's."""

    def _save(self, output_dir: str, state_dict: Any = None) -> None:
        self._write_part(self._write_model, output_dir, state_dict)

    def _write_model(self, output_dir: str, state_dict: Any) -> None:
        super()._save(output_dir, state_dict)
        if self.quantisation is not None:
            self.quantisation.to_json_file(Path(output_dir, QUANTISATION))

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        if self.keeper is not None:
            self.keeper.require_newest_attempt()
        if self.ending is not None:
            self.ending.saves()
        with self.clock.phase(Phase.CHECKPOINT), MAIN_THREAD.within(Step.CHECKPOINT), self._guarded_writing():
            reference = gather_reference(self)  # before anything that may fail on one rank
            super()._save_checkpoint(*args, **kwargs)
            folder = folder_of(Path(self.args.output_dir), self.state.global_step)
            self._write_part(write_reference, reference, folder)
            self._write_part(save_midway, self, folder)
            if self.is_world_process_zero():
                self._write_part(save_batches, self.args, folder)

    def _write_part(self, write: Callable[..., None], *arguments: Any) -> None:
        if self.keeper is None:
            write(*arguments)
        else:
            self.keeper.writing.do(write, *arguments)

    def _guarded_writing(self) -> AbstractContextManager[None]:
        if self.keeper is None:
            return nullcontext()
        if self.is_deepspeed_enabled and not isinstance(self.model_wrapped.checkpoint_engine, GuardedEngine):
            guard(self.model_wrapped, self.keeper.writing, self.is_world_process_zero())
        return self.keeper.writing.whole()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if checkpoint is not None and not self.starts_elsewhere:
            load_reference(self, Path(checkpoint))

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        self.train_sampler = super()._get_train_sampler(*args, **kwargs)
        return self.train_sampler

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        rows = Undivided(dataset) if isinstance(dataset, datasets.IterableDataset) else dataset
        return super()._get_dataloader(rows, *args, **kwargs)

    def _init_training_state(self, max_steps: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Four things that a resumed TRL forgets: where it is in a generation batch, the order of later epochs, where it is in
        a stream, and how often its own recipe logs, saves and evaluates, where the checkpoint is of another one.

        Its sampler draws one permutation per epoch from a generator that starts anew with each process.
        """
        epochs_trained, batches_trained = super()._init_training_state(max_steps, *args, **kwargs)
        self.state.compute_steps(self.args, max_steps)
        if self.starts_elsewhere:
            forget_comparisons(self.state, [*self.callback_handler.callbacks, self.control])
        self._step = self.state.global_step * self.args.gradient_accumulation_steps
        generator = getattr(self.train_sampler, "generator", None)
        for _ in range(epochs_trained if generator is not None else 0):
            torch.randperm(self.train_sampler.num_samples, generator=generator)
        is_stream = isinstance(self.train_dataset, datasets.IterableDataset)
        if is_stream and not self.starts_elsewhere and not self.args.ignore_data_skip:
            return place_in_stream(self.state.epoch or 0, max_steps * self.args.gradient_accumulation_steps)
        return epochs_trained, batches_trained
