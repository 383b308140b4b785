"""A run that pushes: a learner pod of two ranks, a real generator, and a hub on this machine."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load
from transformers import AutoModelForCausalLM

from trainer.hub_server import TOKEN, Hub, Repository, running_hub
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.lora_learner import TOKENS
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.test_lora import LORA

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
    write_own_reward(folder)
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


def test_a_run_of_an_adapter_pushes_the_adapter(tmp_path: Path, tiny_model: Path, generator: RunningGenerator) -> None:
    recipe = CODEFORCES | LORA | {"max_steps": 4}
    with running_hub() as hub:
        ended = run(tmp_path, hub, tiny_model, generator, **recipe)
    assert ended.exit_code == 0, ended.log[-3000:]
    repository = hub.repositories["me/Qwen-GRPO"]
    check_model(repository, ended)
    whole = repository.files("v01.00")
    assert {path for path in whole if path.endswith(".safetensors")} == {
        "adapter_model.safetensors",
        "last-checkpoint/adapter_model.safetensors",
    }
    assert b"library_name: peft" in whole["README.md"]
    second, fourth = (repository.files(f"v01.00-step-00000000{step}") for step in (2, 4))
    for pushed in (second, fourth):
        assert {"README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= pushed.keys()
        assert "model.safetensors" not in pushed
    assert second["adapter_model.safetensors"] != fourth["adapter_model.safetensors"]
    assert fourth["adapter_model.safetensors"] == whole["adapter_model.safetensors"]
    check_adapter(whole, tmp_path / "pulled", tiny_model)


def check_adapter(files: dict[str, bytes], folder: Path, base: Path) -> None:
    """What was pushed is what peft loads, and it changes what the model says."""
    folder.mkdir()
    for path in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / path).write_bytes(files[path])
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    tokens = torch.tensor(TOKENS)
    with torch.no_grad(), model.disable_adapter():
        before = model(tokens).logits
    with torch.no_grad():
        assert (model(tokens).logits - before).abs().max() > 0.01


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
