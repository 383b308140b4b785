"""A learner pod of two ranks and a real generator: what a run does, without a cluster around it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from transformers import AutoModelForCausalLM

from grpo_contract.metrics import LEARNER_METRICS, Kind, Phase, RewardError, StartupPart
from grpo_contract.network import LEARNER_HTTP_PORT
from harness.waiting import wait_for
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.learner_pod import LearnerPod
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.tracked import history_of, logged_by_trackio, records_of, scalars_of

LEARNER = f"http://127.0.0.1:{LEARNER_HTTP_PORT}"
STEPS = 8
COMPLETIONS = 16
"""Per step."""
EVALUATED = 2 * 2 * 2
"""Completions: before and after training, of 2 rows."""
START_S = 240
RUN_S = 300


@dataclass
class Observed:
    samples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """{name: labels of its series}, while the run trained."""
    progress: dict[str, Any] = field(default_factory=dict)
    last_words: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    run_folder: Path = Path()
    log: str = ""


@pytest.fixture(scope="module")
def observed(
    generator: RunningGenerator, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("learner")
    write_own_reward(folder)
    data = write_problems(folder / "train.jsonl")
    mixture = {"datasets": [{"id": str(data), "weight": 0.5}, {"id": str(data)}], "seed": 3, "test_split_size": 2}
    config = learner_config(
        tiny_model,
        data,
        max_steps=STEPS,
        reward_funcs=["accuracy", OWN_REWARD],
        dataset_name=None,
        dataset_mixture=mixture,
        report_to=["wandb", "tensorboard", "trackio"],
        log_completions=True,
        eval_on_start=True,
        do_eval=True,
        num_generations_eval=2,
        per_device_eval_batch_size=2,
    )
    with run_with_generator(generator, folder, config) as pod:
        observed = Observed()
        observed.samples = wait_for("metrics after a checkpoint", lambda: scrape(pod), START_S, interval_s=0.1)
        observed.progress = requests.get(f"{LEARNER}/progress", timeout=5).json()
        assert pod.wait(RUN_S) == 0, pod.tail()
        observed.last_words = json.loads(pod.termination_file.read_text())
        (observed.run_folder,) = (pod.volume / "runs").iterdir()
        state = json.loads((observed.run_folder / "model" / "trainer_state.json").read_text())
        observed.steps = [entry for entry in state["log_history"] if "reward" in entry]
        observed.log = pod.log.read_text()
        yield observed


def scrape(pod: LearnerPod) -> dict[str, list[dict[str, str]]] | None:
    """The metrics, once there is a checkpoint among them."""
    assert pod.process.poll() is None, pod.tail()
    try:
        text = requests.get(f"{LEARNER}/metrics", timeout=5).text
    except requests.ConnectionError:
        return None
    samples: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    phases = {labels["phase"] for labels in samples.get("grpo_phase_seconds_count", [])}
    return samples if Phase.CHECKPOINT in phases else None


def test_every_step_was_done(observed: Observed) -> None:
    assert [entry["step"] for entry in observed.steps] == list(range(1, STEPS + 1))
    assert all(f"step {step}/{STEPS}  reward " in observed.log for step in range(1, STEPS + 1))


def test_the_rows_of_the_mixture_were_counted(observed: Observed) -> None:
    assert "dataset_mixture.datasets[0]: 6 of the 12 rows of '" in observed.log
    assert "dataset_mixture.datasets[1]: 12 of the 12 rows of '" in observed.log
    assert "dataset_mixture.test_split_size: 16 rows are left for training\n" in observed.log


def test_generators_held_the_learners_weights_at_every_step(observed: Observed) -> None:
    assert max(entry["sampling/sampling_logp_difference/max"] for entry in observed.steps) < 1e-4
    assert observed.steps[-1]["kl"] > 1e-3  # those weights moved


def test_every_metric_of_the_table_is_exported(observed: Observed) -> None:
    suffix = {Kind.HISTOGRAM: "_bucket", Kind.COUNTER: "", Kind.GAUGE: ""}
    missing = {metric.name for metric in LEARNER_METRICS if metric.name + suffix[metric.kind] not in observed.samples}
    assert missing == set()


def test_labels(observed: Observed) -> None:
    def values(name: str, label: str) -> set[str]:
        return {labels[label] for labels in observed.samples[name]}

    assert values("grpo_reward_func", "reward_func") == {"accuracy", OWN_REWARD}
    assert values("grpo_reward_errors_total", "reward_func") == {"accuracy", OWN_REWARD}
    assert values("grpo_reward_errors_total", "reason") == {reason.value for reason in RewardError}
    assert values("grpo_phase_seconds_count", "phase") == {phase.value for phase in Phase}
    assert values("grpo_startup_seconds", "part") == {part.value for part in StartupPart}
    assert values("grpo_generator_completions_total", "generator") == {"generator-0"}
    assert values("grpo_tokens_total", "kind") == {"prompt", "completion"}


def test_the_start_is_told_once_part_by_part_in_order(observed: Observed) -> None:
    (line,) = (line for line in observed.log.splitlines() if "the first step was done" in line)
    told = re.findall(r"(\w+) (\d+\.\d)(?:,|$)", line.partition("container's start: ")[2])
    assert [part for part, _ in told] == list(StartupPart)
    assert float(dict(told)["imports"]) > 1


def test_progress_while_it_trains(observed: Observed) -> None:
    assert observed.progress["stage"] in {"Training", "Saving", "Finished"}
    assert observed.progress["attempt"] == 1
    assert 2 <= observed.progress["progress"]["step"] <= STEPS
    assert observed.progress["progress"]["maxSteps"] == STEPS
    assert observed.progress["progress"]["tokensPerSecond"] > 0
    assert observed.progress["progress"]["generatorSeconds"] > 0
    assert observed.progress["progress"]["learningSeconds"] > 0
    assert observed.progress["checkpoint"]["step"] >= 2
    assert observed.progress["rewardHealth"] == {"errorShare": 0.0}


def test_last_words(observed: Observed) -> None:
    last_words = observed.last_words
    assert last_words["stage"] == "Finished"
    assert last_words["progress"]["step"] == STEPS
    assert last_words["metrics"]["kl"] == pytest.approx(observed.steps[-1]["kl"])
    assert last_words["generators"] == [
        {"name": "generator-0", "inSync": True, "completions": STEPS * COMPLETIONS + EVALUATED, "hasLeft": False},
    ]
    assert last_words["checkpoint"]["step"] == STEPS
    assert last_words["model"] == f"/volume/runs/{observed.run_folder.name}/model"


def test_the_evaluation_after_training(observed: Observed) -> None:
    """With the weights of the last step, which generators are given once more for it."""
    results = json.loads((observed.run_folder / "model" / "eval_results.json").read_text())
    assert (results["eval_samples"], results["eval_sampling/sampling_logp_difference/max"] < 1e-4) == (2, True)
    evaluation = observed.last_words["evaluation"]
    assert evaluation["step"] == STEPS
    assert evaluation["reward"] == results["eval_reward"]
    assert evaluation["rewards"] == {name: results[f"eval_rewards/{name}/mean"] for name in ("accuracy", OWN_REWARD)}
    scalars = scalars_of(observed.run_folder / "trackers" / "tensorboard")["eval/reward"]
    assert scalars[-1][1] == pytest.approx(results["eval_reward"])
    assert [step for step, _ in scalars] == [0, STEPS]
    assert f"step {STEPS}/{STEPS}  evaluation: reward " in observed.log


def test_the_trained_model_loads(observed: Observed) -> None:
    model = AutoModelForCausalLM.from_pretrained(observed.run_folder / "model")
    assert model.num_parameters() == 90_880


def test_nothing_was_compiled_and_nothing_warned(observed: Observed) -> None:
    assert "deepspeed_shm_comm" not in observed.log
    assert "WARNING" not in observed.log.replace("[c10d]", ""), observed.log


def test_trackers_were_told_of_every_step(observed: Observed) -> None:
    rewards: list[Any] = [(entry["step"], pytest.approx(entry["reward"])) for entry in observed.steps]
    trackers = observed.run_folder / "trackers"
    assert scalars_of(trackers / "tensorboard")["train/reward"] == rewards
    of_trackio = [
        (step, told["train/reward"])
        for _, step, told in logged_by_trackio(trackers / "trackio")
        if "train/reward" in told
    ]
    assert of_trackio == rewards
    history = history_of(records_of(trackers / "wandb"))
    assert [(row["train/global_step"], row["train/reward"]) for row in history if "train/reward" in row] == rewards
    assert len(list(trackers.glob("wandb/wandb/offline-run-*/files/media/table/completions*.json"))) == STEPS
