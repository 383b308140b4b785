"""The demo run on two nodes, and what must be true of it while it runs and after."""

import json
import re
import time
from collections.abc import Iterator
from math import isfinite
from statistics import fmean

import pytest
import requests
import yaml
from playwright.sync_api import Page, expect
from rich.console import Console

from codegen.dashboard_queries import queries_of
from demo.__main__ import print_results
from e2e.observed import Observed, observe_demo
from grpo_contract.metrics import LEARNER_METRICS, OPERATOR_METRICS, Kind
from harness.alerts import RULES
from harness.browser import browser_page
from harness.command import opened_page, said
from harness.dashboards import OF_FAULTS, read_dashboard
from harness.demo_runs import demo_run
from harness.installation import tool_output
from harness.kubectl import Kubectl
from harness.namespaces import create_namespace
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus, Raised
from harness.runs import ALL_KINDS, children, log_of
from harness.waiting import wait_for

RUN = ("e2e-demo", "demo")
"""Namespace and name."""
SHARE = re.compile(r"ZeRO-3: rank (\d+) of 2 holds (\d+) of (\d+) parameters")


@pytest.fixture(scope="module")
def demo(cluster: Kubectl, demo_namespace: Kubectl, prometheus: Prometheus) -> Iterator[Observed]:
    elsewhere = create_namespace(cluster, "e2e-elsewhere")
    yield observe_demo(cluster, demo_namespace, elsewhere, prometheus)
    cluster("delete", "namespace", "e2e-elsewhere", "--wait=false")


def test_succeeds_with_all_steps_in_one_attempt(demo: Observed) -> None:
    status = demo.run["status"]
    assert status["progress"]["step"] == status["progress"]["maxSteps"] == demo_run()["spec"]["recipe"]["max_steps"]
    assert status["progress"]["generatorSeconds"] > 0
    assert status["progress"]["learningSeconds"] > 0
    assert status["attempt"] == 1
    truths = {entry["type"]: entry["status"] for entry in status["conditions"]}
    assert truths["Accepted"] == truths["StorageReady"] == truths["Succeeded"] == "True"
    assert "Failed" not in truths


def test_learners_ran_on_two_nodes(demo: Observed) -> None:
    assert demo.report["learner_nodes"] == ["node1", "node2"]


def test_zero3_gives_each_learner_half_of_the_model(demo: Observed, demo_namespace: Kubectl) -> None:
    shares = [share_of(log_of(demo_namespace, pod)) for pod in demo.learners]
    assert sorted(rank for rank, _, _ in shares) == [0, 1]
    (whole,) = {whole for _, _, whole in shares}
    assert sum(held for _, held, _ in shares) >= whole > 0
    for _, held, _ in shares:
        assert held == pytest.approx(whole / 2, rel=0.01)


def share_of(log: str) -> tuple[int, int, int]:
    """The rank, the parameters that it holds, and those of the model; a learner says so once."""
    (line,) = SHARE.findall(log)
    rank, held, whole = map(int, line)
    return rank, held, whole


def test_both_generators_served_completions(demo: Observed) -> None:
    counts = demo.report["completions_per_generator"]
    assert sorted(counts) == sorted(demo.generators)
    assert len(counts) == 2
    assert all(count > 0 for count in counts.values())
    batch = 2 * demo_run()["spec"]["recipe"]["per_device_train_batch_size"]
    assert sum(counts.values()) == demo.report["steps"] * batch


def test_accuracy_is_learnt_under_a_kl_penalty(demo: Observed) -> None:
    assert len(demo.curve) == demo.run["status"]["progress"]["step"]
    assert demo.report["accuracy_first5"] == fmean(entry["rewards/accuracy/mean"] for entry in demo.curve[:5])
    assert demo.report["accuracy_last5"] >= demo.report["accuracy_first5"] + 0.3
    assert demo_run()["spec"]["recipe"]["beta"] > 0
    assert 0 < demo.report["kl_last"] < 10
    assert isfinite(demo.report["loss_last"])


def test_generators_held_the_learners_weights_at_every_step(demo: Observed) -> None:
    differences = [entry["sampling/sampling_logp_difference/max"] for entry in demo.curve]
    assert demo.report["max_logp_difference"] == max(differences) < 1e-4


def test_trained_model_answers_better_than_the_base(demo: Observed) -> None:
    print(f"base {demo.report['base_accuracy']}, trained {demo.report['trained_accuracy']}")
    assert demo.report["trained_accuracy"] >= demo.report["base_accuracy"] + 0.3


def test_the_demo_prints_what_it_found(demo: Observed, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(Console(width=80), demo.report, demo.run, is_local=True)
    printed = capsys.readouterr().out
    for words in (
        f"-> {demo.report['accuracy_last5']:.2f} (last 5 steps)",
        "learners ran on              node1, node2",
        f"trained model                {demo.run['status']['model']} on claim demo",
        f"Prometheus at {tool_output('cluster', 'prometheus-url')}",
    ):
        assert words in printed
    assert demo.report["seconds"].keys() == {"evaluation", "total"}
    assert 0 < demo.report["seconds"]["evaluation"] < demo.report["seconds"]["total"]


def test_second_apply_writes_nothing(demo: Observed) -> None:
    second = demo.second_apply
    assert second.output.strip().endswith("unchanged")
    assert len(second.versions_before) >= 8
    assert second.versions_after == second.versions_before


def test_killing_the_operator_costs_the_run_nothing(demo: Observed) -> None:
    assert 0 < demo.operator_pod_killed_at_step < demo.run["status"]["progress"]["step"]
    assert demo.run["status"]["learners"]["restarts"] == 0


def test_a_generator_answers_to_its_token(demo: Observed) -> None:
    answers, open_paths = demo.access.answers, {"get /health", "get /metrics", "get /ready"}
    assert len(answers["without"]) > 10
    refusals = {path: status for path, status in answers["without"].items() if path not in open_paths}
    assert set(refusals.values()) == {401}
    assert answers["wrong"] == 401
    assert answers["with"] == answers["health"] == 200


def test_strangers_do_not_reach_the_runs_pods(demo: Observed) -> None:
    """As long as they try, these pods answer the run's own: nothing but the policy keeps them from strangers."""
    assert demo.access.by_own == [demo.access.guarded] * 2
    assert demo.access.by_strangers == [[demo.access.unguarded]] * 2


def test_metrics_are_clean(demo: Observed) -> None:
    assert demo.lint == {"operator": [], "learner": [], "generator": []}


def test_prometheus_holds_every_metric_of_the_table(demo: Observed, prometheus: Prometheus) -> None:
    names = prometheus.metric_names('{namespace=~"e2e-demo|grpo-system"}', since=demo.started)
    suffix = {Kind.HISTOGRAM: "_bucket", Kind.COUNTER: "", Kind.GAUGE: ""}
    of_learner = [metric for metric in LEARNER_METRICS if not metric.is_of_evaluation]  # the demo does not evaluate
    missing = ("grpo_benchmark", "grpo_run_last_failure")  # nor is it benchmarked, or fails
    of_operator = [metric for metric in OPERATOR_METRICS if not metric.name.startswith(missing)]
    expected = {metric.name + suffix[metric.kind] for metric in (*of_learner, *of_operator)}
    assert expected - names == set()
    assert "vllm:generation_tokens_total" in names


def test_prometheus_holds_the_last_step(demo: Observed, prometheus: Prometheus) -> None:
    window = f"[{int(time.time() - demo.started)}s]"
    (last,) = prometheus.query(f'max_over_time(grpo_step{{namespace="e2e-demo",run="demo"}}{window})')
    assert float(last["value"][1]) == demo.run["status"]["progress"]["step"]


def test_prometheus_knows_run_and_role_of_every_target(demo: Observed, prometheus: Prometheus) -> None:
    window = f"[{int(time.time() - demo.started)}s]"  # not longer: an earlier demo had the same names
    served = prometheus.query(f'count by (run, role, pod) (last_over_time(up{{namespace="e2e-demo"}}{window}))')
    roles = sorted((entry["metric"]["run"], entry["metric"]["role"]) for entry in served)
    assert roles == [("demo", "generator")] * 2 + [("demo", "learner")] * 2


@pytest.mark.parametrize("name", ["grpo-run", "grpo-fleet"])
def test_every_query_of_the_dashboards_returns_data(demo: Observed, prometheus: Prometheus, name: str) -> None:
    values = {"namespace": "e2e-demo", "run": "demo", "window": "1m", "__range": "10m"}
    empty = [
        f"{query.panel}: {query.expr}"
        for query in queries_of(read_dashboard(name))
        if query.panel not in OF_FAULTS
        and not query.panel.startswith(("Evaluation", "Benchmarks"))  # the demo has none
        and not prometheus.query_range(query.with_values(values), demo.started, demo.ended, 5)
    ]
    assert empty == []


SEEN_ELSEWHERE = {
    'grpo_run_phase{phase=~"Failed"}': "test_out_of_memory.py: GRPORunFailed fires",
    "grpo_run_last_failure_timestamp_seconds{}": "test_out_of_memory.py: GRPORunFailed fires",
}
"""Series that alerts ask for and a run that is well has not, and which test has them."""
SEEN_BY_CHANCE = {
    'grpo_run_condition{reason=~"Saving|Evaluating", type="Progressing"}': 'grpo_run_condition{reason="Training", type="Progressing"}'
}
"""The model is saved within a second, and the operator looks every two. Reasons are those of the operator's own code; beside such a
selector, one for another value of the same series that surely was there."""


def test_prometheus_evaluates_every_alert(demo: Observed, prometheus: Prometheus) -> None:
    rules = prometheus.rules()
    written = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert sorted(rule["name"] for rule in rules) == sorted(rule["alert"] for rule in written)
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}


def test_the_run_has_every_series_that_alerts_ask_for(demo: Observed, prometheus: Prometheus) -> None:
    window = f"[{int(time.time() - demo.started)}s]"

    def is_of_demo(labels: dict[str, str]) -> bool:
        return "run" not in labels or (labels.get("run_namespace", labels["namespace"]), labels["run"]) == RUN

    def has_series(selector: str) -> bool:
        found = prometheus.query(f"last_over_time({selector}{window})")
        return any(is_of_demo(series["metric"]) for series in found)

    asked = {selector for rule in prometheus.rules() for selector in prometheus.selectors(rule["query"])}
    assert len(asked) > 30
    assert asked > SEEN_BY_CHANCE.keys()
    surely_seen = asked - SEEN_BY_CHANCE.keys() | set(SEEN_BY_CHANCE.values())
    assert {selector for selector in surely_seen if not has_series(selector)} == SEEN_ELSEWHERE.keys()


def test_the_operator_is_missed_while_it_is_away(demo: Observed) -> None:
    assert demo.missed == {Raised("GRPOOperatorDown", "critical", "pending")}


def test_alerts_of_a_run_that_is_well(demo: Observed, prometheus: Prometheus) -> None:
    of_run = prometheus.raised(demo.started, namespace="e2e-demo", run="demo")
    assert {raised for raised in of_run if (raised.severity, raised.state) == ("critical", "firing")} == set()


def test_the_command_tells_of_the_run_when_it_is_over(demo: Observed, demo_namespace: Kubectl) -> None:
    made = demo.run["status"]["progress"]["step"]
    steps = json.loads(said(demo_namespace, "metrics", "demo", "-o", "json"))
    assert steps[-1]["step"] == made
    assert [step["step"] for step in steps] == list(range(steps[0]["step"], made + 1))
    assert {"reward", "kl", "loss", "entropy", "seconds"} <= steps[-1].keys()
    headline, end, *_ = said(demo_namespace, "why", "demo").splitlines()
    assert headline.startswith("e2e-demo/demo: Succeeded for ")
    assert end.startswith("Completed: ")
    told = json.loads(said(demo_namespace, "top", "demo", "-o", "json"))
    assert [step["step"] for step in told["steps"]] == [step["step"] for step in steps]
    assert {pod["role"] for pod in told["pods"]} == {"learner"}, "generators go with the end of the run"
    assert "Completed" in said(demo_namespace, "top", "demo", "--once")
    of_first = said(demo_namespace, "logs", "demo", "--rank=0").splitlines()
    assert any(f"step {made}/{made}" in line for line in of_first)
    assert not any("[rank " in line for line in of_first)


def test_logs_are_objects_for_machines(demo: Observed, demo_namespace: Kubectl) -> None:
    made, attempt = demo.run["status"]["progress"]["step"], demo.run["status"]["attempt"]
    lines = said(demo_namespace, "logs", "demo", "--role=learner", "-o", "json").splitlines()
    entries = [json.loads(line) for line in lines]
    speakers = {(entry["run"], entry["attempt"], entry["role"], entry["pod"]) for entry in entries if "level" in entry}
    pods = [pod["metadata"]["name"] for pod in demo.learners]
    assert speakers == {("demo", attempt, "learner", pod) for pod in pods}
    (last,) = [entry for entry in entries if entry["message"].startswith(f"step {made}/{made} ")]
    assert (last["rank"], last["step"], last["level"]) == (0, made, "INFO")
    assert {entry["rank"] for entry in entries if entry["message"].startswith("ZeRO-3: ")} == {0, 1}
    strangers = [entry["message"] for entry in entries if "level" not in entry]
    assert len(strangers) < len(entries) / 10, strangers


def test_completions_are_told_while_the_run_goes_on(demo: Observed) -> None:
    assert len(demo.groups_meanwhile) == 3
    recipe = demo_run()["spec"]["recipe"]
    for group in demo.groups_meanwhile:
        assert [row["member"] for row in group] == list(range(recipe["num_generations"]))
        assert len({(row["step"], row["group"], row["prompt"]) for row in group}) == 1
        assert sum(row["advantage"] for row in group) == pytest.approx(0, abs=1e-3)
        for row in group:
            assert row["rewards"].keys() == set(recipe["reward_funcs"])
            assert row["reward"] == pytest.approx(sum(row["rewards"].values()))
            assert 0 < row["tokens"] <= recipe["max_completion_length"]
            assert row["weight_version"] == row["step"], "the first update is made before the first step"


@pytest.fixture(scope="module")
def page_address(demo: Observed, demo_namespace: Kubectl) -> Iterator[str]:
    """When its learners are gone."""
    with opened_page(demo_namespace, "demo") as address:
        yield address
    wait_for("the end of its pod", lambda: not demo_namespace.find_all("pod", "grpo.dev/page-of=demo"), 60)


@pytest.fixture(scope="module")
def page(page_address: str) -> Iterator[Page]:
    with browser_page() as page:
        page.goto(page_address)
        yield page


def test_the_page_needs_the_runs_token(page_address: str) -> None:
    address = page_address.partition("?")[0]
    assert requests.get(address, timeout=30).status_code == 401
    assert requests.get(page_address, timeout=30).status_code == 200


def test_the_page_lists_every_completion_of_the_run(demo: Observed, page: Page) -> None:
    recipe, steps = demo_run()["spec"]["recipe"], demo.run["status"]["progress"]["step"]
    page.get_by_role("link", name="Completions").click()
    count = steps * 2 * recipe["per_device_train_batch_size"]
    expect(page.locator(".note")).to_contain_text(f"{count:,} completions: all, the newest first.")
    expect(page.locator("tbody tr").first.locator("td").first).to_have_text(str(steps))
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".pages")).to_contain_text("Page 2 of ")


def test_the_page_filters_and_searches(page: Page) -> None:
    page.get_by_label("Show").select_option("best")
    page.get_by_role("searchbox").fill("1")
    page.locator("input[name=last]").fill("5")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".note")).to_contain_text("highest reward first")
    rows = [row.locator("td").all_text_contents() for row in page.locator("tbody tr").all()]
    assert len(rows) > 1
    rewards = [float(reward) for _, _, reward, *_ in rows]
    assert rewards == sorted(rewards, reverse=True)
    assert all(int(step) <= 5 and "1" in prompt + text for step, *_, prompt, text in rows)


def test_the_page_compares_two_completions_of_a_group(page: Page, page_address: str) -> None:
    page.goto(page_address)
    page.locator("tbody tr").first.get_by_role("link").nth(1).click()
    expect(page.locator("article")).to_have_count(demo_run()["spec"]["recipe"]["num_generations"])
    texts = page.locator("article pre").all_text_contents()
    page.get_by_role("button", name="Compare the chosen two").click()
    expect(page.locator("section")).to_have_count(2)
    assert page.locator("section pre").all_text_contents() == [texts[0], texts[-1]]
    assert (page.locator("ins, del").count() > 0) is (texts[0] != texts[-1])


def test_the_page_draws_the_curves(demo: Observed, page: Page) -> None:
    page.get_by_role("link", name="Curves").click()
    reward = page.locator("figure", has_text="reward").first
    points = reward.locator("polyline").get_attribute("points")
    assert points is not None
    assert len(points.split()) == demo.run["status"]["progress"]["step"]
    newest = float(reward.locator("figcaption strong").text_content() or "")
    assert newest == pytest.approx(demo.curve[-1]["reward"], abs=1e-3)


def test_delete_leaves_nothing(demo: Observed, demo_namespace: Kubectl) -> None:
    assert children(demo_namespace, "demo")
    demo_namespace("delete", "grporun", "demo", "--timeout=60s")
    wait_through_outages("the end of all children", lambda: not children(demo_namespace, "demo", ALL_KINDS), 60)
    assert demo_namespace.find("pvc", "demo"), "the user's own claim stays"
