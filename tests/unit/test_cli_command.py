"""`kubectl grpo`: what it prints where, and how it ends."""

import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grpo_cli.main import main
from harness.layout import MANIFESTS, PRODUCT_PATH, ROOT
from unit.test_cli_memory import QWEN

OPEN_R1 = Path(__file__).with_name("recipes") / "open_r1_2025.yaml"
BROKEN = "model_name_or_path: m\ndataset_name: d\nreward_funcs: [accuracy]\nnum_generation: 4\n"
SOUND = "model_name_or_path: m\ndataset_name: d\nreward_funcs: [accuracy]\n"
UNKNOWN_KEY = "spec.recipe.num_generation: no such key in TRL or Open-R1; did you mean num_generations?"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Grpo = Callable[..., Done]


@pytest.fixture
def grpo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Grpo:
    """The command within this process, in the project's folder."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            returncode = main(arguments)
        except SystemExit as end:
            returncode = int(str(end.code))
        return Done(returncode, *capsys.readouterr())

    return run


def as_process(*arguments: str, stdin: str = "") -> Done:
    environment = os.environ | {"PYTHONPATH": PRODUCT_PATH}
    done = subprocess.run(
        [sys.executable, *arguments], input=stdin, env=environment, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("text", "returncode"), [(BROKEN, 1), (OPEN_R1.read_text(), 0), ("", 1)])
def test_as_a_process_it_ends_as_within_one(grpo: Grpo, text: str, returncode: int) -> None:
    done = as_process("-m", "grpo_cli", "check", "-", "--learners=1x8", "--output=json", stdin=text)
    assert done == grpo("check", "-", "--learners=1x8", "--output=json", stdin=text)
    assert done.returncode == returncode


def test_kubectl_finds_it_by_its_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {
        "kubectl-grpo": "grpo_cli.main:main",
        "kubectl_complete-grpo": "grpo_cli.shell:main",
    }


def test_check_of_a_sound_recipe(grpo: Grpo) -> None:
    done = grpo("check", str(OPEN_R1), "--learners", "1x8", "--rows", "93733")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "note   spec.recipe.torch_dtype: Is dtype today." in lines
    assert lines[lines.index("Steps") :] == [
        "Steps",
        "  completions per optimizer step     512 = 8 learner processes x 16 per device x 4 accumulated",
        "  unique prompts per optimizer step  32 = 512 / 16 generations",
        "  completions written at a time      512, of 32 prompts",
        "  optimizer steps on these           1",
        "  optimizer steps per epoch          2929 of 93733 rows, 5 of which are left out",
        "  optimizer steps of the run         2929",
        "",
        "Not checked here: whether the model, the data set and its columns exist and may be read; what the images hold "
        "(packages, reward modules) and TRL's own checks of values; nodes, GPUs, quotas, policies and storage classes of "
        "the cluster, and the benchmarks of the operator's chart.",
        "errors: 0, waste: 0, notes: 15",
    ]


def test_check_of_a_broken_recipe_from_standard_input(grpo: Grpo) -> None:
    done = grpo("check", "-", stdin=BROKEN)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"error  {UNKNOWN_KEY}\n\nNot checked here: ")
    assert done.stdout.endswith("errors: 1, waste: 0, notes: 0\n")


def test_json_of_a_broken_recipe(grpo: Grpo) -> None:
    done = grpo("check", "-", "-o", "json", stdin=BROKEN)
    content = json.loads(done.stdout)
    assert done.returncode == 1
    assert content["findings"] == [{"level": "error", "field": "spec.recipe.num_generation", "sentence": UNKNOWN_KEY}]
    assert (content["steps"], content["memory"]) == (None, None)
    assert len(content["notChecked"]) == 3


def test_json_of_a_sound_run_with_its_model(grpo: Grpo, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    config = str(tmp_path / "config.json")
    done = grpo("check", "manifests/qwen-math-2x8.yaml", "--model-config", config, "--rows", "32000", "-o", "json")
    content = json.loads(done.stdout)
    assert done.returncode == 0
    # 16 processes x 4 x 4 = 256 completions of 16 prompts, and 32000 / 16 = 2000 steps an epoch; max_steps is 1000.
    assert content["steps"] == {
        "completionsPerStep": 256,
        "promptsPerStep": 16.0,
        "completionsPerGeneration": 256,
        "promptsPerGeneration": 16,
        "stepsOnAGeneration": 1.0,
        "stepsPerEpoch": 2000,
        "steps": 1000,
    }
    assert content["memory"]["learnerBytes"]["parameters"] == 2 * 1_543_569_408 // 16
    assert content["memory"]["completionTokens"] == 2048 + 512
    assert content["memory"]["completionsPerGenerator"] == 8 * 16


def test_a_models_folder_on_this_machine_is_found(grpo: Grpo, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    recipe = BROKEN.replace("num_generation", "num_generations").replace(" m\n", f" {tmp_path}\n")
    content = json.loads(grpo("check", "-", "-o", "json", stdin=recipe).stdout)
    assert content["memory"]["generatorBytes"]["weights"] == 2 * 1_543_569_408


def test_parameters_without_a_configuration(grpo: Grpo) -> None:
    done = grpo("check", str(OPEN_R1), "--learners", "1x8", "--parameters", "1.5B", "--gpu-memory", "80")
    memory = done.stdout[done.stdout.index("Memory") :].split("\n\n")[0].splitlines()
    assert memory == [
        "Memory, estimated",
        "  a learner's GPU                    4.7 GiB: parameters 0.3 GiB, gradients 0.3 GiB, optimizer 2.1 GiB, gathered "
        "parameters 1.9 GiB",
        "  a generator's GPU                  weights 2.8 GiB",
        "  tokens of the longest completion   1536, its prompt included",
        "  completions at once per generator  512",
        "  not estimated                      activations, logits and KV cache: give --model-config",
    ]


@pytest.mark.parametrize("sample", sorted(path.name for path in MANIFESTS.glob("*.yaml")))
def test_the_samples_have_no_errors(grpo: Grpo, sample: str) -> None:
    done = grpo("check", f"manifests/{sample}")
    if sample == "demo-data.yaml":
        assert done.stderr.startswith("error: manifests/demo-data.yaml holds ")
    else:
        assert (done.returncode, done.stderr) == (0, "")


def test_from_recipe_prints_what_check_accepts(grpo: Grpo) -> None:
    printed = grpo("from-recipe", str(OPEN_R1), "--learners", "1x8", "--generators", "1x1")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert "\n  name: open-r1-2025\n" in printed.stdout
    assert grpo("check", "-", stdin=printed.stdout).returncode == 0


def test_from_recipe_of_a_broken_recipe_prints_it_and_says_so(grpo: Grpo) -> None:
    printed = grpo("from-recipe", "-", "--name", "mine", "--storage", "1Ti", stdin=BROKEN)
    assert (printed.returncode, printed.stderr) == (1, f"error: {UNKNOWN_KEY}\n")
    assert "  name: mine\n" in printed.stdout
    assert printed.stdout.endswith("  storage:\n    size: 1Ti\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "missing.yaml"), "missing.yaml cannot be read (No such file or directory); give another file."),
        (("check", "docs"), "docs cannot be read (Is a directory); give another file."),
        (("check", "manifests/minimal.yaml", "--learners", "1x8"),
         "manifests/minimal.yaml is a GRPORun, which says this itself; leave --learners out."),
        (("from-recipe", "manifests/minimal.yaml"),
         "manifests/minimal.yaml holds a GRPORun already; give a recipe with its keys at top level."),
        (("check", "manifests/minimal.yaml", "--model-config", "README.md"),
         "README.md is no JSON (Expecting value: line 1 column 1 (char 0)); give a model's config.json."),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(grpo: Grpo, arguments: tuple[str, ...], sentence: str) -> None:
    done = grpo(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "standard input is no YAML that kubectl would read ("),
        ("", "standard input is empty; give one recipe or one GRPORun."),
        (
            "kind: Pod\napiVersion: v1\n",
            "standard input holds a Pod of v1; give a GRPORun of grpo.dev/v1alpha1, or a recipe ",
        ),
    ],
)
def test_programs_get_json_of_what_cannot_be_read(grpo: Grpo, text: str, sentence: str) -> None:
    done = grpo("check", "-", "--output=json", stdin=text)
    assert (done.returncode, done.stderr) == (1, "")
    content = json.loads(done.stdout)
    (finding,) = content["findings"]
    assert (finding["level"], finding["field"]) == ("error", "")
    assert finding["sentence"].startswith(sentence)
    assert (content["steps"], content["evaluation"], content["memory"]) == (None, None, None)
    as_text = grpo("check", "-", stdin=text)
    assert (as_text.returncode, as_text.stdout, as_text.stderr) == (1, "", f"error: {finding['sentence']}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("check",), "the following arguments are required: FILE"),
        (
            ("check", "-", "--learners", "8"),
            "argument --learners: '8' will not do; write pods and GPUs of each as in 2x8",
        ),
        (("check", "-", "--rows", "0"), "argument --rows: '0' will not do; give a number of 1 or more"),
        (("check", "-", "--parameters", "big"), "argument --parameters: 'big' will not do; write it as in 1.5B"),
        (("check", "-", "--gpu-memory", "0"), "argument --gpu-memory: '0' will not do; give GiB, as in 80"),
    ],
)
def test_a_command_that_is_written_wrong_shows_its_usage(grpo: Grpo, arguments: tuple[str, ...], words: str) -> None:
    done = grpo(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: kubectl grpo")
    assert done.stderr.endswith(f" error: {words}\n")


def installed_with(requirements: Iterable[str]) -> set[str]:
    """The distributions, and those that they need."""
    found: set[str] = set()
    asked = list(map(Requirement, requirements))
    while asked:
        requirement = asked.pop()
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            asked += map(Requirement, metadata.requires(name) or ())
    return found


def test_it_needs_nothing_but_what_it_is_installed_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = installed_with(project["optional-dependencies"]["cli"])
    assert {"rich", "pygments", "pydantic-core"} <= installed
    packages = metadata.packages_distributions()
    others = [
        name for name, by in packages.items() if not set(map(canonicalize_name, by)) & {*installed, project["name"]}
    ]
    assert {"kopf", "kubernetes", "pythonjsonlogger", "pytest"} <= set(others)
    as_if_missing = f"import sys; sys.modules.update(dict.fromkeys({others!r}))"
    done = as_process("-c", f"{as_if_missing}; import grpo_cli.main, grpo_cli.shell; print('loaded')")
    assert done.stdout == "loaded\n", done.stderr


def test_a_key_that_a_recipe_holds_twice_is_told_and_printed_once(grpo: Grpo) -> None:
    """As Open-R1's own recipes do; Open-R1 takes the last one."""
    text = OPEN_R1.read_text() + "\nseed: 7\n"
    assert "seed:" in OPEN_R1.read_text()
    note = "seed is there twice in standard input; the last one counts, as for TRL and Open-R1."
    report = json.loads(grpo("check", "-", "--learners=1x8", "--output=json", stdin=text).stdout)
    assert {"level": "note", "field": "spec.recipe.seed", "sentence": note} in report["findings"]
    printed = grpo("from-recipe", "-", "--learners=1x8", stdin=text)
    assert (printed.returncode, printed.stderr) == (0, f"note: {note}\n")
    assert printed.stdout.count("seed:") == 1
    assert "    seed: 7\n" in printed.stdout


def test_learners_are_those_of_num_processes_unless_said_otherwise(grpo: Grpo) -> None:
    recipe = f"{SOUND}num_processes: 7\nnum_generations: 7\nper_device_train_batch_size: 1\n"
    done = grpo("from-recipe", "-", stdin=recipe)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  learners:\n    replicas: 1\n    gpus: 7\n  generators:\n    replicas: 1\n    gpus: 1\n" in done.stdout
    assert grpo("check", "-", stdin=recipe).returncode == 0
    assert grpo("check", "-", "--learners", "1x8", stdin=recipe).returncode == 1
    assert "  learners:\n    replicas: 1\n    gpus: 1\n" in grpo("from-recipe", "-", stdin=SOUND).stdout
