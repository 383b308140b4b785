"""HubPusher with the process that pushes, and a hub that comes and goes."""

import json
import threading
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from grpo_contract.config import RunConfig
from grpo_trainer.hub import pusher
from grpo_trainer.hub.process import PushProcess
from grpo_trainer.hub.pusher import HubPusher
from grpo_trainer.hub.settings import HubSettings, Strategy
from grpo_trainer.instruments.metrics import LearnerMetrics
from harness.waiting import wait_for
from trainer.hub_server import Hub
from trainer.learner_inputs import learner_config

SETTINGS = HubSettings("model", "main", None, Strategy.EVERY_SAVE, has_branch_per_checkpoint=True)


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return learner_config(tmp_path / "base", tmp_path / "train.jsonl")


def start(config: RunConfig, registry: CollectorRegistry, commits: list[str]) -> HubPusher:
    return HubPusher(SETTINGS, config, LearnerMetrics(registry), PushProcess(), pushed=commits.append)


def write_checkpoint(folder: Path, step: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_text(f"weights of step {step}")
    log = [{"step": step, "reward": 0.5, "kl": 0.01}]
    (checkpoint / "trainer_state.json").write_text(
        json.dumps({"global_step": step, "log_history": log, "stateful_callbacks": {}})
    )
    return checkpoint


def write_model(folder: Path) -> Path:
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_text("trained")
    (model / "README.md").write_text("# trained")
    return model


def test_a_hub_that_is_overloaded_while_a_checkpoint_is_saved(hub: Hub, tmp_path: Path, config: RunConfig) -> None:
    registry, commits = CollectorRegistry(), list[str]()
    running = start(config, registry, commits)
    hub.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
    running.checkpoint_saved(write_checkpoint(tmp_path, 10), 10)
    failed = {"result": "failed"}
    wait_for("both to fail", lambda: registry.get_sample_value("grpo_hub_pushes_total", failed) == 2, 60)
    hub.refuse_with = None
    running.checkpoint_saved(write_checkpoint(tmp_path, 20), 20)
    running.finish(write_model(tmp_path))
    repository = hub.repositories["me/model"]
    assert repository.titles() == ["initial commit", "Training in progress, step 20", "End of training"]
    assert repository.branches.keys() == {"main", "main-step-000000020"}
    assert repository.files()["model.safetensors"] == b"trained"
    assert repository.files()["README.md"] == b"# trained"
    branch = repository.files("main-step-000000020")
    assert branch["model.safetensors"] == b"weights of step 20"
    assert b"After step 20:\n\n| | mean of the step |\n|---|---|\n| reward | 0.5 |" in branch["README.md"]
    assert commits == [
        f"{hub.url}/me/model/commit/{repository.branches[name][place].oid}"
        for name, place in (("main", 1), ("main-step-000000020", 1), ("main", 2))
    ]
    assert [commit.message for commit in repository.branches["main"][1:]] == ["GRPORun test, uid " + config.uid] * 2


def test_a_hub_that_comes_back_while_the_trained_model_waits(
    hub: Hub, tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "RETRY_EVERY_S", 0.2)
    registry, commits = CollectorRegistry(), list[str]()
    running = start(config, registry, commits)
    hub.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
    end = threading.Thread(target=running.finish, args=(write_model(tmp_path),))
    end.start()
    wait_for("a first try", lambda: hub.requests, 60)
    hub.refuse_with = None
    end.join(60)
    assert not end.is_alive()
    assert hub.repositories["me/model"].titles() == ["initial commit", "End of training"]
    assert registry.get_sample_value("grpo_hub_pushes_total", {"result": "pushed"}) == 1
    assert len(commits) == 1
