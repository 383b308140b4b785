"""A run that pushes: a learner pod of two ranks, a real generator, and a hub on this machine."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from safetensors.torch import load

from trainer.hub_server import TOKEN, Hub, Repository, running_hub
from trainer.learner_inputs import learner_config, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.test_learner_end_to_end import OWN_REWARD, REWARD

RUN_S = 420
CODEFORCES: dict[str, Any] = {
    "output_dir": "data/Qwen-GRPO",
    "push_to_hub": True,
    "hub_strategy": "checkpoint",
    "hub_revision": "v01.00",
    "callbacks": ["push_to_hub_revision"],
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 1,
}


@dataclass
class Ended:
    hub: Hub
    log: str
    run_folder: Path
    exit_code: int


def run(folder: Path, hub: Hub, model: Path, generator: RunningGenerator, processes: int = 2, **recipe: Any) -> Ended:
    (folder / "my_rewards.py").write_text(REWARD)
    config = learner_config(
        model,
        write_problems(folder / "train.jsonl"),
        processes=processes,
        every_steps=100,
        keep=1,
        **{"reward_funcs": [OWN_REWARD]} | recipe,
    )
    with run_with_generator(generator, folder, config, hub.environment) as pod:
        exit_code = pod.wait(RUN_S)
        (run_folder,) = (pod.volume / "runs").iterdir()
        return Ended(hub, pod.log.read_text(), run_folder, exit_code)


def test_a_run_pushes(tmp_path: Path, tiny_model: Path, generator: RunningGenerator) -> None:
    with running_hub() as hub:
        ended = run(tmp_path, hub, tiny_model, generator, max_steps=4, **CODEFORCES)
    assert ended.exit_code == 0, ended.log[-3000:]
    assert hub.repositories.keys() == {"me/Qwen-GRPO"}
    repository = hub.repositories["me/Qwen-GRPO"]
    assert repository.branches.keys() == {"main", "v01.00", "v01.00-step-000000002", "v01.00-step-000000004"}
    assert repository.titles() == ["initial commit"]
    assert repository.titles("v01.00") == [
        "initial commit",
        "Training in progress, step 2",
        "Training in progress, step 4",
        "End of training",
    ]
    check_model(repository, ended)
    check_last_checkpoint(repository)
    check_branches(repository)
    assert "WARNING" not in ended.log.replace("[c10d]", ""), ended.log
    assert f"hub: the trained model is pushed to v01.00: {hub.url}/me/Qwen-GRPO/commit/" in ended.log
    assert TOKEN not in ended.log


def check_model(repository: Repository, ended: Ended) -> None:
    """The branch ends with what is in the model's folder."""
    pushed = {path: content for path, content in repository.files("v01.00").items() if "/" not in path}
    folder = ended.run_folder / "model"
    assert pushed == {".gitattributes": b""} | {path.name: path.read_bytes() for path in folder.iterdir()}


def check_last_checkpoint(repository: Repository) -> None:
    prefix = "last-checkpoint/"
    whole = {path.removeprefix(prefix) for path in repository.files("v01.00") if path.startswith(prefix)}
    assert {
        "latest",
        "scheduler.pt",
        "rng_state_0.pth",
        "rng_state_1.pth",
        "trainer_state.json",
        "model.safetensors",
    } <= whole
    assert {path.split("/")[0] for path in whole if "/" in path} == {"global_step4"}
    assert {"global_step4/zero_pp_rank_0_mp_rank_00_model_states.pt"} <= whole
    assert "complete.json" not in whole


def check_branches(repository: Repository) -> None:
    """Each has the weights of its step, a card and nothing to resume from."""
    second, fourth = (repository.files(f"v01.00-step-00000000{step}") for step in (2, 4))
    assert second.keys() == fourth.keys()
    assert {"README.md", "config.json", "tokenizer.json", "model.safetensors"} <= second.keys()
    assert not [path for path in second if "/" in path or path in ("latest", "scheduler.pt", "complete.json")]
    assert b"After step 2:" in second["README.md"]
    assert second["model.safetensors"] != fourth["model.safetensors"]
    assert load(second["model.safetensors"]).keys() == load(fourth["model.safetensors"]).keys()


def test_a_run_whose_token_may_not_write_goes_on(tmp_path: Path, tiny_model: Path, generator: RunningGenerator) -> None:
    with running_hub() as hub:
        hub.refuse_with = HTTPStatus.FORBIDDEN
        every_save = CODEFORCES | {"hub_strategy": "every_save"}
        ended = run(tmp_path, hub, tiny_model, generator, processes=1, max_steps=3, **every_save)
    assert ended.exit_code == 0, ended.log[-3000:]
    assert (ended.run_folder / "model" / "model.safetensors").exists()
    assert "step 3/3  reward " in ended.log
    warning = "hub: the checkpoint of step 2 was not pushed to Qwen-GRPO, branch v01.00: HfHubHTTPError: "
    assert warning in ended.log
    assert "ERROR hub: the trained model was not pushed to Qwen-GRPO: HfHubHTTPError: " in ended.log
    assert "It is in /volume/runs/" in ended.log
