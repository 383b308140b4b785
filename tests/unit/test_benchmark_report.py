"""What a benchmark's last container makes of the files that the benchmark wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grpo_benchmark.results import read_scores
from grpo_contract import environment, files
from grpo_contract.benchmarks import BenchmarkScores
from grpo_contract.failure import USER_ERROR_EXIT_CODE
from grpo_contract.pod import report_scores

# As lighteval 0.13 and lm-evaluation-harness 0.4 write them, shortened.
LIGHTEVAL = {
    "config_general": {"model_name": "m"},
    "results": {
        "math_500|0": {"pass@k:k=1&n=1": 0.75, "pass@k:k=1&n=1_stderr": 0.02},
        "all": {"pass@k:k=1&n=1": 0.75, "pass@k:k=1&n=1_stderr": 0.02},
    },
}
HARNESS = {
    "results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.01}}
}


def write(file: Path, content: Any, age_s: float = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    time = file.stat().st_mtime - age_s
    os.utime(file, (time, time))
    return file


@pytest.mark.parametrize(
    ("content", "scores"),
    [
        (LIGHTEVAL, {"math_500|0": {"pass@k:k=1&n=1": 0.75}}),
        (HARNESS, {"gsm8k": {"exact_match,strict-match": 0.5}}),
        ({"results": {"all": {"accuracy": 1}}}, {"all": {"accuracy": 1.0}}),
        ({"results": {"a": {"x": float("nan"), "y": float("inf"), "z": 0, "is_fine": True}}}, {"a": {"z": 0.0}}),
        ({"results": {"a": {"x": "0.5"}, "b": 0.5}}, {}),
        ({"results": [0.5]}, {}),
        ([1], {}),
        ("no JSON", {}),
    ],
)
def test_scores_of_a_file(tmp_path: Path, content: Any, scores: dict[str, dict[str, float]]) -> None:
    write(tmp_path / "results" / "volume" / "runs" / "results_2026.json", content)
    write(tmp_path / "details.parquet", "no JSON at all")
    assert read_scores(tmp_path).scores == scores


def test_of_two_tries_the_newer_counts(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"results": {"math": {"accuracy": 0.5}}})
    write(tmp_path / "b.json", {"results": {"math": {"accuracy": 0.1}, "code": {"accuracy": 0.2}}}, age_s=100)
    assert read_scores(tmp_path).scores == {"math": {"accuracy": 0.5}, "code": {"accuracy": 0.2}}


def run(tmp_path: Path, *arguments: object) -> tuple[int, str]:
    """Its exit code, and what it left for the operator."""
    termination = tmp_path / "termination-log"
    termination.touch()
    command = [sys.executable, "-m", "grpo_benchmark", *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | {environment.TERMINATION_FILE: str(termination)}, timeout=60, check=False
    )
    return done.returncode, termination.read_text()


def test_it_tells_the_operator_and_clears_away_the_models(tmp_path: Path) -> None:
    write(tmp_path / "results" / "r.json", LIGHTEVAL)
    models = [write(tmp_path / name / "model.safetensors", "w").parent for name in ("model", "merged")]
    code, text = run(tmp_path, "report", tmp_path / "results", *models)
    assert (code, json.loads(text)) == (0, {"scores": {"math_500|0": {"pass@k:k=1&n=1": 0.75}}})
    assert not any(model.exists() for model in models)
    assert (tmp_path / "results" / "r.json").exists()


def test_without_results_it_says_so_and_leaves_the_model(tmp_path: Path) -> None:
    write(tmp_path / "results" / "log.txt", "nothing to see")
    model = write(tmp_path / "model" / "model.safetensors", "w").parent
    code, text = run(tmp_path, "report", tmp_path / "results", model)
    assert code == USER_ERROR_EXIT_CODE
    assert json.loads(text) == {
        "reason": "BenchmarkError",
        "message": 'benchmarks.command of the operator\'s chart ended well, and left no JSON file with "results" in '
        f"{tmp_path / 'results'}, which holds log.txt: have it write there, to the folder in GRPO_RESULTS.",
    }
    assert model.exists()


def test_what_does_not_fit_is_left_out_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    termination = tmp_path / "termination-log"
    monkeypatch.setenv(environment.TERMINATION_FILE, str(termination))
    scores = {f"task-{number:03}": {"accuracy": 0.5, "f1": 0.25} for number in range(200)}
    report_scores(BenchmarkScores(scores=scores))
    told = BenchmarkScores.model_validate_json(termination.read_bytes()).scores
    assert termination.stat().st_size <= files.TERMINATION_BYTES
    assert list(told) == list(scores)[: len(told)]
    assert len(termination.read_bytes()) > files.TERMINATION_BYTES - 60
    assert all(told[task] == scores[task] for task in list(told)[:-1])


def test_before_it_the_model_is_there_and_so_is_the_folder_for_results(tmp_path: Path) -> None:
    model = write(tmp_path / "model" / "model.safetensors", "w").parent
    assert run(tmp_path, "prepare", model, tmp_path / "target" / "results") == (0, "")
    assert list((tmp_path / "target" / "results").iterdir()) == []
    code, text = run(tmp_path, "prepare", tmp_path / "gone", tmp_path / "results")
    assert code == USER_ERROR_EXIT_CODE
    assert json.loads(text) == {
        "reason": "BenchmarkError",
        "message": f"{tmp_path / 'gone'} is not there any more: where benchmarks are slower than checkpoints, the oldest models "
        "give way; raise save_steps in another run, or have fewer benchmarks.",
    }


def test_a_model_that_is_gone_already_is_no_trouble(tmp_path: Path) -> None:
    write(tmp_path / "results" / "r.json", LIGHTEVAL)
    assert run(tmp_path, "report", tmp_path / "results", tmp_path / "gone")[0] == 0
