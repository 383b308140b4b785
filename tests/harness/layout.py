"""Where things lie in the repository."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
CHART = ROOT / "charts" / "grpo-operator"
MANIFESTS = ROOT / "manifests"
TRAINER_IMAGE = ROOT / "trainer_image"
CRD = CHART / "crds" / "grporuns.yaml"
PRODUCT_PATH = f"{ROOT / 'operator'}:{TRAINER_IMAGE}"
"""PYTHONPATH of operator and command, without the tests'."""
