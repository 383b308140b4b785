"""Where images and what they are made of lie. Names and constants only."""

import os
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grpo-operator" / "images"
LOCK: Final = CACHE / "lock"

# buildah's own storage: layers of earlier builds, which make the next one short.
STORAGE: Final = CACHE / "buildah"
TEMPORARY: Final = CACHE / "tmp"
PIP_CONFIG: Final = CACHE / "pip.conf"
CA_BUNDLES: Final = Path("/etc/ssl/certs")
