"""The name of a build of the local cluster: another one for every change of what it is made from."""

import pytest

from cluster.build import PINS, current_build, key_of
from cluster.layout import SOURCES

FILES = {"go.mod": b"go 1.26\n", "go.sum": b"h1:abc\n"}
MACHINE = "x86_64"


def test_the_same_files_in_any_order_have_one_key() -> None:
    assert key_of(dict(reversed(FILES.items())), MACHINE) == key_of(FILES, MACHINE)


@pytest.mark.parametrize(
    ("files", "machine"),
    [
        ({**FILES, "go.sum": b"h1:abd\n"}, MACHINE),
        ({**FILES, "coredns/main.go": b""}, MACHINE),
        ({"go.mod": FILES["go.mod"]}, MACHINE),
        ({"go.mod": FILES["go.sum"], "go.sum": FILES["go.mod"]}, MACHINE),
        ({"go.mod": b"go 1.26\ng", "go.sum": b"o.sum"}, MACHINE),
        (FILES, "aarch64"),
    ],
    ids=["a byte", "one file more", "one file less", "swapped", "a boundary moved", "another machine"],
)
def test_any_difference_changes_the_key(files: dict[str, bytes], machine: str) -> None:
    assert key_of(files, machine) != key_of(FILES, MACHINE)


def test_a_boundary_between_files_counts() -> None:
    assert key_of({"a": b"bc"}, MACHINE) != key_of({"ab": b"c"}, MACHINE)


def test_the_build_of_this_checkout_is_named_after_its_pins() -> None:
    folder = current_build().folder
    assert folder == current_build().folder
    assert len(folder.name) == 16
    assert {"go.mod", "go.sum", "prometheus/go.mod", "helm_unittest/go.mod"} < set(PINS)


def test_every_go_source_is_a_pin() -> None:
    sources = {str(file.relative_to(SOURCES)) for pattern in ("*.go", "go.*") for file in SOURCES.rglob(pattern)}
    assert sources <= set(PINS)
