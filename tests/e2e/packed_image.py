"""The image `trainer-cpu`, built for real, on one node of the local cluster."""

import shutil

import pytest

from harness.installation import tool, tool_output
from images.build import default_tag, full_name
from images.layout import CACHE

NODE = "node1"
NAME = full_name(default_tag("trainer-cpu"))
DEADLINE_S = 1800
"""Of the build: other tests' runs go first, for their times are asserted."""
# The archive, and on the node the layers as they came and unpacked, 6 GB each, and as much again while it is being built.
NEEDED_GB = 26


def load() -> None:
    """Raises pytest's Skipped where there is no room for it, as the result of a Future also in the test that waits."""
    free_gb = shutil.disk_usage(CACHE).free / 1e9
    if free_gb < NEEDED_GB:
        pytest.skip(f"the image needs {NEEDED_GB} GB of disk, and {free_gb:.0f} GB are free")
    archive = tool_output("images", "build", "trainer-cpu", deadline_s=DEADLINE_S, niceness=19)
    tool("cluster", "load", "--node", NODE, archive)


def unload() -> None:
    tool("cluster", "unload", NAME)
