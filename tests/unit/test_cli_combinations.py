"""Values that do not go together: for each a run that is told, and a neighbour that is not."""

from typing import Any

import pytest

from api.tables import KEYS, a_value_for
from grpo_cli.check import Known
from grpo_cli.combinations import combinations
from grpo_cli.finding import Level
from grpo_cli.memory import Model
from unit.cli_inputs import plan_of, report_of, run_of, said

HF_TOKEN = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
MIXTURE = {"dataset_name": None, "dataset_mixture": {"datasets": [{"id": "a"}]}}
# (level, recipe, neighbour, field below spec.recipe, sentence after spec.recipe.)
RECIPES: list[tuple[Level, dict[str, Any], dict[str, Any], str, str]] = [
    (
        Level.ERROR,
        {"bf16": True, "fp16": True},
        {"bf16": None, "fp16": True},
        "fp16",
        "fp16 is true and spec.recipe.bf16 is true, but a run computes in one of them; keep one.",
    ),
    (
        Level.ERROR,
        {"sync_ref_model": True},
        {"sync_ref_model": True, "beta": 0.04},
        "sync_ref_model",
        "sync_ref_model is true, but with spec.recipe.beta 0 there is no reference model; set beta above 0, or leave "
        "sync_ref_model out.",
    ),
    (
        Level.ERROR,
        {"dataset_streaming": True},
        {"dataset_streaming": True, "max_steps": 100},
        "max_steps",
        "dataset_streaming is true, but a data set that is streamed has no known end; set max_steps.",
    ),
    (
        Level.ERROR,
        {"vllm_importance_sampling_clip_min": 3},
        {"vllm_importance_sampling_clip_min": 3, "vllm_importance_sampling_clip_max": None},
        "vllm_importance_sampling_clip_min",
        "vllm_importance_sampling_clip_min is 3, but it must be below vllm_importance_sampling_clip_max 3.0; lower it.",
    ),
    (
        Level.ERROR,
        {"log_completions_hub_repo": "me/completions"},
        {"log_completions_hub_repo": "me/completions", "log_completions": True},
        "log_completions_hub_repo",
        "log_completions_hub_repo is set, but log_completions is false and there is nothing to upload; set "
        "log_completions to true, or leave it out.",
    ),
    (
        Level.ERROR,
        {"max_completion_length": 4096, "vllm_max_model_length": 4096},
        {"max_completion_length": 4095, "vllm_max_model_length": 4096},
        "max_completion_length",
        "max_completion_length is 4096, which leaves no room for a prompt in vllm_max_model_length 4096; lower it or "
        "raise vllm_max_model_length.",
    ),
    (
        Level.NOTE,
        {"max_completion_length": 2048, "vllm_max_model_length": 2500, "max_prompt_length": 512},
        {"max_completion_length": 2048, "vllm_max_model_length": 2560, "max_prompt_length": 512},
        "max_prompt_length",
        "max_prompt_length is 512, and a prompt of more than 452 tokens with max_completion_length 2048 is beyond "
        "vllm_max_model_length 2500 and ends the run; lower it or raise vllm_max_model_length.",
    ),
    (
        Level.ERROR,
        {"logging_steps": 0},
        {"logging_steps": 0, "logging_strategy": "epoch"},
        "logging_steps",
        "logging_steps is 0, which TRL refuses; set it to 1 or more, or leave it out.",
    ),
    (
        Level.WASTE,
        {"reward_funcs": ["soft_overlong_punishment"], "max_completion_length": 4096},
        {"reward_funcs": ["soft_overlong_punishment"], "max_completion_length": 12289},
        "max_completion_len",
        "max_completion_len is 16384, so that soft_overlong_punishment begins beyond 12288 tokens, which no completion of "
        "max_completion_length 4096 has; set it to 4096 and soft_punish_cache to less.",
    ),
    (
        Level.WASTE,
        {"reward_weights": [0]},
        {"reward_weights": [0.1]},
        "reward_weights",
        "reward_weights are all 0, so that nothing is learnt from rewards; give one a weight.",
    ),
    (
        Level.WASTE,
        MIXTURE | {"dataset_config": "main"},
        {"dataset_config": "main"},
        "dataset_config",
        "dataset_config is without effect: each entry of dataset_mixture has a config of its own.",
    ),
    (
        Level.NOTE,
        {"num_train_epochs": 2, "max_steps": 100},
        {"num_train_epochs": 2, "max_steps": -1},
        "num_train_epochs",
        "num_train_epochs is without effect: max_steps 100 says how long to train.",
    ),
    (
        Level.NOTE,
        {"importance_sampling_level": "sequence"},
        {"importance_sampling_level": "sequence", "loss_type": "grpo"},
        "loss_type",
        "loss_type is dapo, which with importance_sampling_level sequence weights each completion by its length; set it to "
        "grpo for GSPO.",
    ),
    (
        Level.NOTE,
        {"loss_type": "luspo"},
        {"loss_type": "luspo", "importance_sampling_level": "sequence"},
        "importance_sampling_level",
        "importance_sampling_level is token, but the paper of loss_type luspo has sequence; set it to that.",
    ),
    (
        Level.NOTE,
        {"push_to_hub_revision": True},
        {"push_to_hub_revision": False},
        "push_to_hub_revision",
        "push_to_hub_revision is set, and spec.learners.env has no HF_TOKEN; set it from a Secret there, unless the "
        "operator's settings do.",
    ),
    (
        Level.NOTE,
        {"report_to": ["tensorboard", "mlflow", "swanlab"]},
        {"report_to": ["tensorboard", "trackio"]},
        "report_to",
        "report_to holds mlflow, swanlab, which the learners' image must hold (the released one does not), or the run "
        "fails; leave it out, since metrics are in Prometheus anyway, or use an image that holds it.",
    ),
    *(
        (
            Level.NOTE,
            {"report_to": told},
            {"report_to": "trackio"},
            "report_to",
            "report_to asks for wandb, and spec.learners.env has no WANDB_API_KEY, without which the run is kept on the volume "
            "and not sent; set it from a Secret there, unless the operator's settings do.",
        )
        for told in ("wandb", ["tensorboard", "wandb"], "all")
    ),
    (
        Level.NOTE,
        {"report_to": ["trackio"], "trackio_space_id": "me/runs"},
        {"report_to": ["tensorboard"], "trackio_space_id": "me/runs"},
        "trackio_space_id",
        "trackio_space_id names a Space, and spec.learners.env has no HF_TOKEN, without which the run is kept on the volume "
        "and not sent; set it from a Secret there, unless the operator's settings do.",
    ),
    (
        Level.NOTE,
        {"optim": "stable_adamw"},
        {"optim": "adamw_8bit"},
        "optim",
        "optim: 'stable_adamw' needs the package torch-optimi, which the project's images do not hold: with them the run fails; "
        "set it to adamw_torch, leave it out, or use an image that holds torch-optimi.",
    ),
    (
        Level.NOTE,
        {"optim": "galore_adamw_layerwise"},
        {"optim": "adafactor"},
        "optim",
        "optim: 'galore_adamw_layerwise' needs the package galore-torch, which the project's images do not hold: with them the "
        "run fails; set it to adamw_torch, leave it out, or use an image that holds galore-torch.",
    ),
    (
        Level.NOTE,
        {"attn_implementation": "flash_attention_3"},
        {"attn_implementation": "flash_attention_2"},
        "attn_implementation",
        "attn_implementation: 'flash_attention_3' needs the package flash-attn-3, which the project's images do not hold: with "
        "them the run fails; set it to sdpa, leave it out, or use an image that holds flash-attn-3.",
    ),
]


def of_combinations(recipe: dict[str, Any]) -> list[tuple[Level, str, str]]:
    return [(found.level, found.field, found.sentence) for found in combinations(plan_of(recipe))]


@pytest.mark.parametrize(("level", "recipe", "neighbour", "field", "sentence"), RECIPES)
def test_of_a_recipe(
    level: Level, recipe: dict[str, Any], neighbour: dict[str, Any], field: str, sentence: str
) -> None:
    assert of_combinations(recipe) == [(level, f"spec.recipe.{field}", f"spec.recipe.{sentence}")]
    assert of_combinations(neighbour) == []


# (level, spec, neighbour, recipe of both, field, sentence)
RUNS: list[tuple[Level, dict[str, Any], dict[str, Any], dict[str, Any], str, str]] = [
    (
        Level.WASTE,
        {"learners": {"gpus": 4, "processes": 3}},
        {"learners": {"gpus": 4, "processes": 4}},
        {},
        "spec.learners.processes",
        "spec.learners.processes is 3, so that 1 of the 4 GPUs of each learner pod do nothing; lower spec.learners.gpus to 3 "
        "or leave processes out.",
    ),
    (
        Level.WASTE,
        {"generators": {"replicas": 3}},
        {"generators": {"replicas": 2}},
        {"per_device_train_batch_size": 16},
        "spec.generators.replicas",
        "spec.generators.replicas is 3, but a generation has 2 prompts, and the completions of one come from one generator; "
        "set it to 2 or less, or make the generation larger.",
    ),
    (
        Level.NOTE,
        {"checkpoint": {"everySteps": 100}},
        {"checkpoint": {"everySteps": 99}},
        {"max_steps": 100},
        "spec.checkpoint.everySteps",
        "spec.checkpoint.everySteps is 100, but the run has 100 steps, and an attempt after a failure begins anew; "
        "lower it.",
    ),
    (
        Level.NOTE,
        {"learners": {"env": [{"name": "WANDB_API_KEY", "value": "k"}]}},
        {"learners": {"env": [HF_TOKEN]}},
        {"push_to_hub": True},
        "spec.recipe.push_to_hub",
        "spec.recipe.push_to_hub is set, and spec.learners.env has no HF_TOKEN; set it from a Secret there, unless the "
        "operator's settings do.",
    ),
    (
        Level.NOTE,
        {"ttlSecondsAfterFinished": 600},
        {"ttlSecondsAfterFinished": 600, "storage": {"retain": True}},
        {},
        "spec.ttlSecondsAfterFinished",
        "spec.ttlSecondsAfterFinished is 600, and with the run goes its volume, with the trained model; set spec.storage.retain to "
        "true, or push the model to the hub, unless it may go.",
    ),
    (
        Level.NOTE,
        {"ttlSecondsAfterFinished": 600},
        {"ttlSecondsAfterFinished": 600, "storage": {"size": None, "claimName": "mine"}},
        {},
        "spec.ttlSecondsAfterFinished",
        "spec.ttlSecondsAfterFinished is 600, and with the run goes its volume, with the trained model; set spec.storage.retain to "
        "true, or push the model to the hub, unless it may go.",
    ),
    (
        Level.NOTE,
        {"ttlSecondsAfterFinished": 600},
        {"ttlSecondsAfterFinished": None},
        {},
        "spec.ttlSecondsAfterFinished",
        "spec.ttlSecondsAfterFinished is 600, and with the run goes its volume, with the trained model; set spec.storage.retain to "
        "true, or push the model to the hub, unless it may go.",
    ),
]


KEY = {"name": "WANDB_API_KEY", "valueFrom": {"secretKeyRef": {"name": "wandb", "key": "api-key"}}}
TEMPLATE = {
    "podTemplate": {"spec": {"containers": [{"name": "learner", "envFrom": [{"secretRef": {"name": "keys"}}]}]}}
}
TRACKED: dict[str, Any] = {"report_to": ["wandb", "trackio"], "trackio_space_id": "me/runs", "push_to_hub": True}


@pytest.mark.parametrize(
    ("learners", "fields"),
    [
        ({}, ["push_to_hub", "report_to", "trackio_space_id"]),
        ({"podTemplate": {"spec": {"schedulerName": "mine"}}}, ["push_to_hub", "report_to", "trackio_space_id"]),
        ({"env": [KEY]}, ["push_to_hub", "trackio_space_id"]),
        ({"env": [{"name": "WANDB_MODE", "value": "offline"}]}, ["push_to_hub", "trackio_space_id"]),
        ({"env": [HF_TOKEN]}, ["report_to"]),
        ({"env": [HF_TOKEN, KEY]}, []),
        (TEMPLATE, []),
    ],
)
def test_keys_that_trackers_need(learners: dict[str, Any], fields: list[str]) -> None:
    report = report_of(run_of(TRACKED, learners=learners))
    assert [field for field, _ in said(report, Level.NOTE)] == [f"spec.recipe.{field}" for field in fields]


def test_a_space_that_the_environment_names() -> None:
    learners = {"env": [{"name": "TRACKIO_SPACE_ID", "value": "me/runs"}]}
    report = report_of(run_of({"report_to": "trackio"}, learners=learners))
    assert [field for field, _ in said(report)] == ["spec.recipe.trackio_space_id"]


@pytest.mark.parametrize(("level", "spec", "neighbour", "recipe", "field", "sentence"), RUNS)
def test_of_a_run(
    level: Level, spec: dict[str, Any], neighbour: dict[str, Any], recipe: dict[str, Any], field: str, sentence: str
) -> None:
    found = report_of(run_of(recipe, **spec))
    assert said(found) == said(found, level) == [(field, sentence)]
    assert said(report_of(run_of(recipe, **neighbour))) == []


def test_a_model_whose_push_fails_goes_with_its_run() -> None:
    run = run_of({"push_to_hub": True}, ttlSecondsAfterFinished=600, learners={"env": [HF_TOKEN]})
    sentence = (
        "spec.ttlSecondsAfterFinished is 600, and with the run goes its volume, with the trained model if its push to the hub has "
        "failed; set spec.storage.retain to true, unless it may go."
    )
    assert said(report_of(run)) == [("spec.ttlSecondsAfterFinished", sentence)]


def test_rows_that_make_no_generation() -> None:
    recipe = {"per_device_train_batch_size": 16}
    assert said(report_of(run_of(recipe), Known(rows=1))) == [
        (
            "spec.recipe.dataset_name",
            "spec.recipe.dataset_name: 'open-r1/OpenR1-Math-220k' has 1 prompts, a generation batch needs 2; lower "
            "per_device_train_batch_size or gradient_accumulation_steps, or raise num_generations.",
        ),
        (
            "spec.checkpoint.everySteps",
            "spec.checkpoint.everySteps is 50, but the run has 3 steps, and an attempt after a failure begins anew; "
            "lower it.",
        ),
    ]
    assert said(report_of(run_of(recipe), Known(rows=200))) == []
    streamed = report_of(run_of(recipe | {"dataset_streaming": True, "max_steps": 200}), Known(rows=1))
    assert [field for field, _ in said(streamed, Level.ERROR)] == ["spec.recipe.dataset_name"]


@pytest.mark.parametrize(
    ("recipe", "rows", "begins_anew"),
    [
        ({}, None, True),
        ({"save_strategy": "no"}, None, True),
        ({"save_steps": 8}, None, True),
        ({"save_steps": 7}, None, False),
        ({"save_steps": 0.5}, None, False),
        ({"save_strategy": "no", "save_steps": 2}, None, True),
        ({"save_strategy": "epoch"}, None, False),  # nobody knows how many epochs 8 steps are
        ({"save_strategy": "epoch"}, 8, True),
        ({"save_strategy": "epoch"}, 4, False),
        ({"save_strategy": "best", "metric_for_best_model": "reward", "eval_strategy": "steps"}, None, False),
    ],
)
def test_an_attempt_goes_on_from_a_checkpoint_of_the_recipe(
    recipe: dict[str, Any], rows: int | None, begins_anew: bool
) -> None:
    report = report_of(run_of({"max_steps": 8} | recipe), Known(rows=rows))
    assert ("spec.checkpoint.everySteps" in [field for field, _ in said(report, Level.NOTE)]) is begins_anew


ODD: list[Any] = [5, 0.5, True, False, "text", "", [], ["text"], [1], {"a": {"b": 1}}]
OPEN = [key for key, entry in KEYS.items() if "type" not in entry]


@pytest.mark.parametrize("key", OPEN)
def test_no_value_of_a_key_that_takes_anything_breaks_it(key: str) -> None:
    for value in ODD:
        report_of(run_of({key: value}), Known(rows=100, model=Model(10**9)))


def test_no_value_of_a_type_breaks_it() -> None:
    for key in KEYS:
        report_of(run_of({key: a_value_for(KEYS[key])}), Known(rows=100, model=Model(10**9)))
