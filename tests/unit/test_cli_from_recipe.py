"""A GRPORun around a recipe: its keys and its lines stay, and what is printed passes check."""

from pathlib import Path

import pytest
import yaml

from grpo_cli.documents import Document, read_document
from grpo_cli.finding import Level
from grpo_cli.from_recipe import Pods, Surroundings, build_run, name_of, run_text
from grpo_operator.api.run import GRPORun
from unit.cli_inputs import report_of, said

OPEN_R1 = Path(__file__).with_name("recipes") / "open_r1_2025.yaml"
AROUND = Surroundings("open-r1", Pods(1, 8), Pods(1, 1))


def open_r1() -> Document:
    return read_document(OPEN_R1.name, OPEN_R1.read_text())


def test_what_is_printed_holds_the_recipe_unchanged_and_passes_check() -> None:
    document = open_r1()
    printed = read_document("printed", run_text(document, AROUND))
    assert printed.is_run
    assert printed.content["spec"]["recipe"] == document.content
    assert printed.content["spec"]["recipe"]["learning_rate"] == 2e-05
    assert said(report_of(printed.content), Level.ERROR) == []


def test_comments_and_layout_stay() -> None:
    text = run_text(open_r1(), AROUND)
    assert "    # Model arguments\n    model_name_or_path: Qwen/Qwen2.5-1.5B-Instruct\n" in text
    assert "    learning_rate: 2e-05          # PyYAML takes this for text\n" in text
    assert text.startswith(
        "apiVersion: grpo.dev/v1alpha1\nkind: GRPORun\nmetadata:\n  name: open-r1\nspec:\n  recipe:\n"
    )
    assert text.endswith(
        "\n    warmup_ratio: 0.1\n  learners:\n    replicas: 1\n    gpus: 8\n  generators:\n    replicas: 1\n    gpus: 1\n"
        "  storage:\n    size: 100Gi\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"model_name_or_path": "m", "eval_strategy": "no", "chat_template": "a\\n b"}',
        "model_name_or_path: m\neval_strategy: 'no'\nrun_name: '1e-6'\nhub_revision: 'y'\n",
        "%YAML 1.1\n---\nmodel_name_or_path: m\n...\n",
        "model_name_or_path: m\r\nseed: 1\r\n",
        "\ufeffmodel_name_or_path: m\n",
        "  model_name_or_path: m\n  seed: 1",
        "model_name_or_path: m\nchat_template: |\n  a\n    \n  b\n",
        "model_name_or_path: m\nchat_template: |\n  a\n  b",
        "model_name_or_path: m\nchat_template: |+\n  a\n\n\n",
        "model_name_or_path: &m m\nhub_model_id: *m\n",
    ],
)
def test_text_of_any_layout_keeps_its_values(text: str) -> None:
    document = read_document("recipe", text)
    printed = read_document("printed", run_text(document, AROUND)).content
    assert printed["spec"]["recipe"] == document.content


def test_a_run_says_what_it_was_told() -> None:
    around = Surroundings("a", Pods(2, 8), Pods(3, 2), "1Ti", "trl-0.16")
    run = build_run({"reward_funcs": ["accuracy"]}, around)
    spec = GRPORun.parse({**run, "metadata": {"name": "a", "namespace": "n", "uid": "u"}}).spec
    assert (spec.learners.replicas, spec.learners.gpus) == (2, 8)
    assert (spec.generators.replicas, spec.generators.gpus) == (3, 2)
    assert (spec.storage.size, spec.recipe_defaults) == ("1Ti", "trl-0.16")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml", "config-demo"),
        ("7B_math.yml", "run-7b-math"),
        ("031ec05d_recipes_Qwen2.5-1.5B..yaml", "run-031ec05d-recipes-qwen2-5-1-5b"),
        ("", "grpo"),
        ("__.yaml", "grpo"),
        ("123.yaml", "run-123"),
        (f"{'a' * 39}-b.yaml", "a" * 39),
    ],
)
def test_a_name_comes_from_the_file(file: str, name: str) -> None:
    assert name_of(file) == name
    assert "" not in [field for field, _ in said(report_of(build_run({}, Surroundings(name))), Level.ERROR)]


@pytest.mark.parametrize("text", ["8", "2x", "x8", "2x8x1", "-1x8"])
def test_pods_are_written_as_pods_x_gpus(text: str) -> None:
    assert Pods.parse("2x8") == Pods(2, 8)
    with pytest.raises(ValueError, match=text):
        Pods.parse(text)


def test_the_recipe_of_the_test_is_an_old_one() -> None:
    assert "vllm_device" in yaml.safe_load(OPEN_R1.read_text())
