"""The local cluster knows two labels of the project, in Prometheus' spelling; they are the ones that pods have."""

import re

from cluster.layout import SOURCES
from grpo_contract.labels import ROLE_LABEL, RUN_LABEL


def test_series_are_labelled_with_the_run_and_the_role_of_their_pod() -> None:
    configuration = (SOURCES / "prometheus.yaml").read_text()
    for label, target in ((RUN_LABEL, "run"), (ROLE_LABEL, "role")):
        source = "__meta_kubernetes_pod_label_" + re.sub(r"[^a-zA-Z0-9]", "_", label)
        assert f"{{source_labels: [{source}], target_label: {target}}}" in configuration
