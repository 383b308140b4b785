"""Held-out accuracy of the base and the trained model, and the run's curve, read from the volume by a Job."""

import json
from typing import Any

from demo.jobs import wait_for_job
from demo.volume import Adapt, job_like_data
from harness.kubectl import Kubectl

Evaluation = dict[str, Any]
"""base_accuracy, trained_accuracy, questions; curve: TRL's log of each step."""


def evaluate(kubectl: Kubectl, adapt: Adapt, model: str) -> Evaluation:
    kubectl.apply(adapt(job_like_data("demo-evaluate", ["python", "-m", "grpo_demo.evaluate", "/volume/demo", model])))
    wait_for_job(kubectl, "demo-evaluate")
    evaluation: Evaluation = json.loads(kubectl("logs", "job/demo-evaluate").splitlines()[-1])
    return evaluation
