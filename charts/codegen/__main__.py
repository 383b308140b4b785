"""Writes generated files: `python -m codegen NAME... | all`. The recipe's schema is made before, by recipe_schema."""

import sys
from collections.abc import Callable
from pathlib import Path

from codegen.alerts import alert_rules, alert_table
from codegen.crd import crd_manifest
from codegen.dashboard import fleet_dashboard, run_dashboard
from codegen.metrics_reference import metrics_reference
from codegen.old_recipes import old_recipes
from codegen.rbac import permission_templates
from codegen.reference import api_reference
from grpo_operator.api.recipe_keys import read_recipe_schema

ROOT = Path(__file__).resolve().parents[2]


# {name: (file, what makes its text)}
GENERATORS: dict[str, tuple[str, Callable[[], str]]] = {
    "crd": ("charts/grpo-operator/crds/grporuns.yaml", lambda: crd_manifest(read_recipe_schema())),
    "reference": ("docs/reference.md", lambda: api_reference(read_recipe_schema())),
    "metrics": ("docs/metrics.md", metrics_reference),
    "old-recipes": ("docs/old-recipes.md", old_recipes),
    "rbac": ("charts/grpo-operator/templates/_permissions.tpl", permission_templates),
    "alerts": ("charts/grpo-operator/alerts/grpo.yaml", alert_rules),
    "alert-table": ("docs/runbooks/README.md", alert_table),
    "dashboard": ("charts/grpo-operator/dashboards/grpo-run.json", run_dashboard),
    "fleet-dashboard": ("charts/grpo-operator/dashboards/grpo-fleet.json", fleet_dashboard),
}


def main(names: list[str]) -> None:
    known = [*GENERATORS, "all"]
    if not names or set(names) - set(known):
        sys.exit(f"usage: python -m codegen NAME..., each one of {', '.join(known)}")
    for name, (file, text) in GENERATORS.items():
        if {name, "all"} & set(names):
            target = ROOT / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text(), encoding="utf-8")
            print(file)


if __name__ == "__main__":
    main(sys.argv[1:])
