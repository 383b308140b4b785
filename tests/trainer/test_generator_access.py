"""Who may ask a generator for what."""

import re
from collections.abc import Mapping

import pytest
import requests

from grpo_contract.network import GENERATOR_HEADER, GENERATOR_OPEN_PATHS, METRICS_PATH
from grpo_contract.weights import STAGE_PATH
from trainer.running_generator import TOKEN, RunningGenerator

NO_TOKEN: Mapping[str, str] = {}
LEAST_ROUTES = {"/v1/completions", "/update_weights", "/collective_rpc", "/weight_info", "/pause"}
"""If these are not among the routes, the enumeration is broken."""


def ask(generator: RunningGenerator, method: str, path: str, headers: Mapping[str, str]) -> requests.Response:
    return requests.request(method, generator.url + path, headers=dict(headers), timeout=10)


def routes(generator: RunningGenerator) -> list[tuple[str, str]]:
    paths = generator.get("/openapi.json").json()["paths"]
    assert paths.keys() >= LEAST_ROUTES
    return [(method, re.sub(r"{\w+}", "x", path)) for path, methods in paths.items() for method in methods]


@pytest.mark.parametrize(
    "headers",
    [
        NO_TOKEN,
        {"Authorization": "Bearer guessed"},
        {"Authorization": "Bearer token-of-the-run-and-more"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic token-of-the-run"},
        {"Authorization": "token-of-the-run"},
        {"X-Api-Key": "token-of-the-run"},
    ],
)
def test_every_route_but_the_open_ones_needs_the_token(generator: RunningGenerator, headers: Mapping[str, str]) -> None:
    closed = [(method, path) for method, path in routes(generator) if path not in GENERATOR_OPEN_PATHS]
    assert len(closed) > 20
    answers = {(method, path): ask(generator, method, path, headers).status_code for method, path in closed}
    assert answers == dict.fromkeys(closed, 401)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/no-such-path",
        "/metrics/",
        "/health/",
        "//health",
        "/health/..%2Fv1/models",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_so_does_everything_else(generator: RunningGenerator, method: str, path: str) -> None:
    assert ask(generator, method, path, NO_TOKEN).status_code == 401


@pytest.mark.parametrize("headers", [NO_TOKEN, {"Authorization": "Bearer guessed"}])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
def test_so_does_our_own_route(generator: RunningGenerator, method: str, headers: Mapping[str, str]) -> None:
    assert ask(generator, method, STAGE_PATH, headers).status_code == 401


@pytest.mark.parametrize("path", [STAGE_PATH + "/", STAGE_PATH.upper()])
def test_our_own_route_has_one_spelling(generator: RunningGenerator, path: str) -> None:
    assert ask(generator, "POST", path, generator.authorization).status_code == 404


@pytest.mark.parametrize("body", ["", "{}", "[1]", "{\n}", "no JSON"])
def test_what_is_no_offer_is_refused_in_a_sentence(generator: RunningGenerator, body: str) -> None:
    answer = requests.post(generator.url + STAGE_PATH, data=body, headers=generator.authorization, timeout=60)
    assert answer.status_code == 502
    assert "WeightOffer" in answer.json()["error"]
    assert answer.headers[GENERATOR_HEADER] == generator.name


def test_a_refusal_is_json_that_says_what_is_needed(generator: RunningGenerator) -> None:
    assert ask(generator, "GET", "/v1/models", NO_TOKEN).json() == {"error": "the token of the run is needed"}


def test_health_and_metrics_need_no_token(generator: RunningGenerator) -> None:
    assert ask(generator, "GET", "/health", NO_TOKEN).status_code == 200
    metrics = ask(generator, "GET", METRICS_PATH, NO_TOKEN)
    assert metrics.status_code == 200
    assert "vllm:num_requests_running" in metrics.text


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_pods_of_both_families_are_answered(generator: RunningGenerator, host: str) -> None:
    assert requests.get(f"http://{host}:{generator.port}/health", timeout=10).status_code == 200


def test_the_token_opens_what_it_is_for(generator: RunningGenerator) -> None:
    assert [model["id"] for model in generator.get("/v1/models").json()["data"]] == ["policy"]


@pytest.mark.parametrize(
    ("method", "path", "with_token", "status"),
    [
        ("GET", "/health", False, 200),
        ("GET", "/v1/models", True, 200),
        ("GET", "/v1/models", False, 401),
        ("GET", "/no-such-path", True, 404),
        ("POST", "/health", False, 405),
        ("POST", "/finish_weight_update", True, 500),  # none was started
    ],
)
def test_every_answer_names_the_generator(
    generator: RunningGenerator, method: str, path: str, with_token: bool, status: int
) -> None:
    answer = ask(generator, method, path, generator.authorization if with_token else NO_TOKEN)
    assert answer.status_code == status
    assert answer.headers[GENERATOR_HEADER] == generator.name


def test_refused_requests_do_not_change_readiness(generator: RunningGenerator) -> None:
    before = ask(generator, "GET", "/ready", NO_TOKEN).status_code
    for path in ("/update_weights", "/finish_weight_update", STAGE_PATH):
        assert ask(generator, "POST", path, NO_TOKEN).status_code == 401
    assert ask(generator, "GET", "/ready", NO_TOKEN).status_code == before


def test_a_token_that_was_made_anew_counts_at_once(generator: RunningGenerator) -> None:
    """As the kubelet gives it to a running pod when the run's Secret was deleted and made again."""
    old = generator.authorization
    try:
        generator.token_file.write_text("a-new-one\n")
        assert generator.authorization == {"Authorization": "Bearer a-new-one"}
        assert ask(generator, "GET", "/v1/models", old).status_code == 401
        assert ask(generator, "GET", "/v1/models", generator.authorization).status_code == 200
    finally:
        generator.token_file.write_text(f"{TOKEN}\n")
