"""Values that do not go together: what TRL, transformers or vLLM would refuse when pods run, and what costs without a gain.

A function per combination, a sentence each. What the API server refuses already is in the CRD's rules.
"""

from collections.abc import Callable, Iterator
from typing import Final

from grpo_cli.brought_along import BROUGHT_ALONG
from grpo_cli.checkpoints import no_recovery_checkpoint
from grpo_cli.finding import Finding, error, note, waste
from grpo_cli.plan import Plan
from grpo_cli.processes import other_processes
from grpo_contract.hub import pushes
from grpo_contract.recipe.prompts import too_few_prompts

SUMS_OVER_TOKENS: Final = ("bnpo", "dr_grpo", "dapo", "cispo")

Check = Callable[[Plan], Iterator[Finding]]


def combinations(plan: Plan) -> list[Finding]:
    return [finding for check in CHECKS for finding in check(plan)]


def both_precisions(plan: Plan) -> Iterator[Finding]:
    if plan.value("bf16") and plan.value("fp16"):
        yield error(
            "spec.recipe.fp16",
            "spec.recipe.fp16 is true and spec.recipe.bf16 is true, but a run computes in one of them; keep one.",
        )


def reference_without_kl(plan: Plan) -> Iterator[Finding]:
    if plan.value("sync_ref_model") and plan.value("beta") == 0:
        yield error(
            "spec.recipe.sync_ref_model",
            "spec.recipe.sync_ref_model is true, but with spec.recipe.beta 0 there is no reference model; set beta above "
            "0, or leave sync_ref_model out.",
        )


def streaming_without_end(plan: Plan) -> Iterator[Finding]:
    if plan.value("dataset_streaming") and plan.value("max_steps") < 0:
        yield error(
            "spec.recipe.max_steps",
            "spec.recipe.dataset_streaming is true, but a data set that is streamed has no known end; set max_steps.",
        )


def clipping_bounds(plan: Plan) -> Iterator[Finding]:
    least, most = (plan.value(f"vllm_importance_sampling_clip_{end}") for end in ("min", "max"))
    if least is not None and most is not None and least >= most:
        yield error(
            "spec.recipe.vllm_importance_sampling_clip_min",
            f"spec.recipe.vllm_importance_sampling_clip_min is {least}, but it must be below "
            f"vllm_importance_sampling_clip_max {most}; lower it.",
        )


def completions_to_nowhere(plan: Plan) -> Iterator[Finding]:
    if plan.sets("log_completions_hub_repo") and not plan.value("log_completions"):
        yield error(
            "spec.recipe.log_completions_hub_repo",
            "spec.recipe.log_completions_hub_repo is set, but log_completions is false and there is nothing to upload; "
            "set log_completions to true, or leave it out.",
        )


def no_room_for_a_prompt(plan: Plan) -> Iterator[Finding]:
    longest, completion = plan.value("vllm_max_model_length"), plan.value("max_completion_length")
    if longest is None or completion is None:
        return
    prompt = plan.value("max_prompt_length") or 0
    if completion < longest < completion + prompt:
        yield note(
            "spec.recipe.max_prompt_length",
            f"spec.recipe.max_prompt_length is {prompt}, and a prompt of more than {longest - completion} tokens with "
            f"max_completion_length {completion} is beyond vllm_max_model_length {longest} and ends the run; lower it or "
            "raise vllm_max_model_length.",
        )
    if completion >= longest:
        yield error(
            "spec.recipe.max_completion_length",
            f"spec.recipe.max_completion_length is {completion}, which leaves no room for a prompt in "
            f"vllm_max_model_length {longest}; lower it or raise vllm_max_model_length.",
        )


def never_logged(plan: Plan) -> Iterator[Finding]:
    if plan.value("logging_strategy") == "steps" and plan.value("logging_steps") == 0:
        yield error(
            "spec.recipe.logging_steps",
            "spec.recipe.logging_steps is 0, which TRL refuses; set it to 1 or more, or leave it out.",
        )


def too_few_rows(plan: Plan) -> Iterator[Finding]:
    needed = plan.batch.prompts_per_generation
    if plan.rows is not None and plan.rows < needed:
        yield error(*too_few_prompts(plan.recipe, plan.rows, needed))


def idle_learner_gpus(plan: Plan) -> Iterator[Finding]:
    learners = plan.spec.learners
    idle = learners.gpus - learners.processes_per_pod
    if idle > 0:
        yield waste(
            "spec.learners.processes",
            f"spec.learners.processes is {learners.processes}, so that {idle} of the {learners.gpus} GPUs of each learner "
            f"pod do nothing; lower spec.learners.gpus to {learners.processes} or leave processes out.",
        )


def idle_generators(plan: Plan) -> Iterator[Finding]:
    prompts, replicas = plan.batch.prompts_per_generation, plan.spec.generators.replicas
    if prompts < replicas:
        yield waste(
            "spec.generators.replicas",
            f"spec.generators.replicas is {replicas}, but a generation has {prompts} prompts, and the completions of one "
            f"come from one generator; set it to {prompts} or less, or make the generation larger.",
        )


def punishment_out_of_reach(plan: Plan) -> Iterator[Finding]:
    completion = plan.value("max_completion_length")
    begins = plan.value("max_completion_len") - plan.value("soft_punish_cache")
    used = "soft_overlong_punishment" in (plan.value("reward_funcs") or ())
    if used and completion is not None and begins >= completion:
        yield waste(
            "spec.recipe.max_completion_len",
            f"spec.recipe.max_completion_len is {plan.value('max_completion_len')}, so that soft_overlong_punishment begins "
            f"beyond {begins} tokens, which no completion of max_completion_length {completion} has; set it to {completion} "
            "and soft_punish_cache to less.",
        )


def nothing_rewarded(plan: Plan) -> Iterator[Finding]:
    weights = plan.value("reward_weights")
    if weights and not any(weights):
        yield waste(
            "spec.recipe.reward_weights",
            "spec.recipe.reward_weights are all 0, so that nothing is learnt from rewards; give one a weight.",
        )


def epochs_and_steps(plan: Plan) -> Iterator[Finding]:
    if plan.sets("num_train_epochs") and plan.value("max_steps") > 0:
        yield note(
            "spec.recipe.num_train_epochs",
            f"spec.recipe.num_train_epochs is without effect: max_steps {plan.value('max_steps')} says how long to train.",
        )


def configuration_of_a_mixture(plan: Plan) -> Iterator[Finding]:
    if plan.sets("dataset_mixture") and plan.sets("dataset_config"):
        yield waste(
            "spec.recipe.dataset_config",
            "spec.recipe.dataset_config is without effect: each entry of dataset_mixture has a config of its own.",
        )


def sequences_by_length(plan: Plan) -> Iterator[Finding]:
    """TRL's own warnings about importance_sampling_level."""
    level, loss = plan.value("importance_sampling_level"), plan.value("loss_type")
    if level == "sequence" and loss in SUMS_OVER_TOKENS:
        yield note(
            "spec.recipe.loss_type",
            f"spec.recipe.loss_type is {loss}, which with importance_sampling_level sequence weights each completion by its "
            "length; set it to grpo for GSPO.",
        )
    if level == "token" and loss == "luspo":
        yield note(
            "spec.recipe.importance_sampling_level",
            "spec.recipe.importance_sampling_level is token, but the paper of loss_type luspo has sequence; set it to that.",
        )


def model_that_goes_with_the_run(plan: Plan) -> Iterator[Finding]:
    kept_s, storage = plan.spec.ttl_seconds_after_finished, plan.spec.storage
    if kept_s is None or storage.retain or storage.claim_name:
        return
    is_pushed = pushes(plan.recipe)
    what = "the trained model if its push to the hub has failed" if is_pushed else "the trained model"
    how = (
        "set spec.storage.retain to true"
        if is_pushed
        else "set spec.storage.retain to true, or push the model to the hub"
    )
    yield note(
        "spec.ttlSecondsAfterFinished",
        f"spec.ttlSecondsAfterFinished is {kept_s}, and with the run goes its volume, with {what}; {how}, unless it may go.",
    )


CHECKS: Final[tuple[Check, ...]] = (
    both_precisions,
    reference_without_kl,
    streaming_without_end,
    clipping_bounds,
    completions_to_nowhere,
    no_room_for_a_prompt,
    never_logged,
    too_few_rows,
    idle_learner_gpus,
    idle_generators,
    punishment_out_of_reach,
    nothing_rewarded,
    configuration_of_a_mixture,
    no_recovery_checkpoint,
    epochs_and_steps,
    sequences_by_length,
    other_processes,
    model_that_goes_with_the_run,
    *BROUGHT_ALONG,
)
