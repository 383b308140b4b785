"""Code of reward functions that a run brings along: what of it is in the pods."""

from typing import Any

from grpo_contract.config import RewardCode, RewardsConfig
from grpo_operator.desired.config import run_config
from unit.desired_inputs import container_of, generator_template, learner_template, make_run, make_settings

REWARDS: dict[str, Any] = {
    "from": [
        {"configMap": {"name": "my-rewards"}},
        {"path": "/volume/rewards.whl"},
        {"configMap": {"name": "others"}},
    ],
    "timeoutSeconds": 5,
}


def of_code(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["name"].startswith("reward-code")]


def test_learners_mount_config_maps_read_only() -> None:
    template = learner_template(make_run(rewards=REWARDS))
    assert of_code(template["spec"]["volumes"]) == [
        {"name": "reward-code-0", "configMap": {"name": "my-rewards", "defaultMode": 0o440}},
        {"name": "reward-code-2", "configMap": {"name": "others", "defaultMode": 0o440}},
    ]
    assert of_code(container_of(template)["volumeMounts"]) == [
        {"name": "reward-code-0", "mountPath": "/etc/grpo-rewards/0", "readOnly": True},
        {"name": "reward-code-2", "mountPath": "/etc/grpo-rewards/2", "readOnly": True},
    ]


def test_generators_have_nothing_of_it() -> None:
    assert generator_template(make_run(rewards=REWARDS)) == generator_template(make_run())


def test_without_it_there_is_nothing_to_mount() -> None:
    template = learner_template(make_run())
    assert of_code(template["spec"]["volumes"]) == of_code(container_of(template)["volumeMounts"]) == []


def test_learners_are_told_where_modules_are_searched() -> None:
    assert run_config(make_run(rewards=REWARDS), make_settings()).rewards == RewardsConfig(
        timeout_s=5,
        code=(
            RewardCode(config_map="my-rewards"),
            RewardCode(path="/volume/rewards.whl"),
            RewardCode(config_map="others"),
        ),
    )


def test_learners_are_told_which_functions_need_no_whole_batch() -> None:
    recipe = {"reward_funcs": ["judges:score", "judges:rank"]}
    run = make_run(recipe=recipe, rewards={"perGroup": ["judges:score"]})
    assert run_config(run, make_settings()).rewards == RewardsConfig(per_group=("judges:score",))
