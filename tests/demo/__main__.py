"""`python -m demo up|down`, with PYTHONPATH as in the Makefile; CLUSTER=current uses the current kubectl context.

The figures of a finished demo are printed and written to build/demo.json.
"""

import json
import os
import subprocess
import sys
from typing import Any

from rich.console import Console

from demo.current_cluster import (
    copy_pull_secrets,
    current_cluster,
    foreign_operator,
    is_own,
    provide_operator,
    remove_operator,
)
from demo.errors import DemoError
from demo.evaluation import evaluate
from demo.namespace import NAMESPACE, remove_namespace, renew_namespace
from demo.report import Stopwatch, summarize
from demo.screen import Show, follow
from demo.volume import Adapt, like_learners, on_local_cluster, prepare_volume, wait_for_volume
from harness.installation import (
    install_operator,
    load_operator_image,
    load_trainer_image,
    local_cluster,
    local_settings,
    start_local_cluster,
    tool,
    tool_output,
)
from harness.kubectl import ENDED, CommandFailedError, Kubectl, Manifest
from harness.layout import MANIFESTS, ROOT
from harness.outages import wait_through_outages

REPORT = ROOT / "build" / "demo.json"
RUN_DEADLINE_S = 1800


def main() -> None:
    is_local = os.environ.get("CLUSTER", "local") != "current"
    actions = {"up": up, "down": down}
    try:
        actions[sys.argv[1]](is_local)
    except (DemoError, CommandFailedError, TimeoutError) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"`{' '.join(map(str, error.cmd))}` ended with {error.returncode}; its messages are above")


def up(is_local: bool, *looks: Show) -> None:
    """`looks` are shown each new state of the run as well."""
    console, stopwatch = Console(), Stopwatch()
    with stopwatch.part("cluster"):
        if is_local:
            start_local_cluster()
            load_trainer_image()
    kubectl = local_cluster() if is_local else current_cluster()
    inside = kubectl.within(NAMESPACE)
    if not is_local:
        foreign_operator(kubectl)  # before an earlier demo's model goes, for nothing
    if kubectl.find("namespace", NAMESPACE):
        console.print(f"Namespace {NAMESPACE} of an earlier demo is made anew: its runs and models go ...")
    renew_namespace(kubectl, is_local=is_local)
    with stopwatch.part("operator"):
        console.print("Making the base model and the data on a volume, and installing the operator ...")
        adapt = (prepare_local_cluster if is_local else prepare_current_cluster)(kubectl, console)
    with stopwatch.part("base model"):
        console.print("The operator is there; the base model is made in about two minutes ...")
        wait_for_volume(inside)
    with stopwatch.part("run"):
        inside("apply", "-f", str(MANIFESTS / "demo.yaml"))
        run = follow(console, lambda show: watch(inside, "demo", show, *looks))
    if run["status"]["phase"] != "Succeeded":
        raise DemoError(f"The run failed: {json.dumps(run['status'].get('lastFailure', run['status']), indent=1)}")
    with stopwatch.part("evaluation"):
        console.print("Asking the base model and the trained one held-out questions ...")
        evaluation = evaluate(inside, adapt, run["status"]["model"])
    report = summarize(inside, run, evaluation, stopwatch)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    print_results(console, report, run, is_local)


def prepare_local_cluster(kubectl: Kubectl, _: Console) -> Adapt:
    prepare_volume(kubectl.within(NAMESPACE), on_local_cluster)
    load_operator_image()
    install_operator(kubectl, *local_settings(), *_own_values())
    return on_local_cluster


def prepare_current_cluster(kubectl: Kubectl, console: Console) -> Adapt:
    """The operator comes first: its settings say which image the cluster can get."""
    operator = provide_operator(kubectl, _own_values())
    if not is_own(kubectl, operator):
        unused = "; VALUES is not used" if _own_values() else ""
        console.print(f"Using the operator {operator.name} of namespace {operator.namespace} as it is{unused}.")
    copy_pull_secrets(kubectl, operator)
    adapt = like_learners(operator.settings)
    prepare_volume(kubectl.within(NAMESPACE), adapt)
    return adapt


def watch(kubectl: Kubectl, name: str, *shows: Show) -> Manifest:
    """Show every new state of the run until it ended; returns that state."""

    def ended() -> Manifest | None:
        run = kubectl.find("grporun", name)
        if run is None:
            raise DemoError(f"Run {name} is gone: it was deleted.")
        for show in shows:
            show(run)
        return run if run.get("status", {}).get("phase") in ENDED else None

    try:
        return wait_through_outages(f"the end of run {name}", ended, RUN_DEADLINE_S, interval_s=1)
    except TimeoutError:
        see = f"kubectl -n {NAMESPACE} describe grpo {name}"
        raise DemoError(f"The run did not end within {RUN_DEADLINE_S} s: see `{see}`.") from None


def print_results(console: Console, report: dict[str, Any], run: Manifest, is_local: bool) -> None:
    console.rule("The demo has ended")
    lines = [
        f"accuracy of the completions  {report['accuracy_first5']:.2f} (first 5 steps) -> {report['accuracy_last5']:.2f} (last 5 steps)",
        f"held-out questions           {report['base_accuracy']:.2f} (base model) -> {report['trained_accuracy']:.2f} (trained model)",
        f"KL, loss at the end          {report['kl_last']:.4f}, {report['loss_last']:.4f}",
        f"weights in sync              largest difference of log-probabilities {report['max_logp_difference']:.1e}",
        f"learners ran on              {', '.join(report['learner_nodes'])}",
        f"completions per generator    {', '.join(f'{name}: {count}' for name, count in report['completions_per_generator'].items())}",
        f"seconds                      {', '.join(f'{part} {seconds:.0f}' for part, seconds in report['seconds'].items())}",
        "",
        f"trained model                {run['status']['model']} on claim {run['spec']['storage']['claimName']}, namespace {NAMESPACE}",
        f"the figures as JSON          {REPORT}",
        f"dashboard                    to import into a Grafana: {ROOT / 'charts/grpo-operator/dashboards/grpo-run.json'}",
    ]
    if is_local:
        lines += [
            f"metrics                      Prometheus at {tool_output('cluster', 'prometheus-url')}",
            "look around                  export KUBECONFIG=$(make -s cluster-kubeconfig) PATH=$(make -s cluster-programs):$PATH",
            f"                             kubectl -n {NAMESPACE} describe grpo {run['metadata']['name']}",
            "end it all                   make demo-down (the trained model goes with it)",
        ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def down(is_local: bool) -> None:
    """The local cluster goes as a whole; of somebody's cluster only what the demo made."""
    if is_local:
        tool("cluster", "down")
        return
    kubectl = current_cluster()
    print(remove_namespace(kubectl))
    print(remove_operator(kubectl))


def _own_values() -> list[str]:
    """VALUES=file of `CLUSTER=current make demo`: images and the like of that cluster."""
    return [f"--values={os.environ['VALUES']}"] if os.environ.get("VALUES") else []


if __name__ == "__main__":
    main()
