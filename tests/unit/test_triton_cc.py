"""The stand-in for a C compiler in the CUDA image: it knows one source."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.layout import TRAINER_IMAGE

SCRIPT = TRAINER_IMAGE / "triton-cc"
DRIVER, COMPILED = "int driver;\n", b"\x7fELF driver"


@pytest.fixture
def compiler(tmp_path: Path) -> Path:
    folder = tmp_path / "triton"
    folder.mkdir()
    (folder / "driver.c").write_text(DRIVER)
    (folder / "cuda_utils.so").write_bytes(COMPILED)
    return Path(shutil.copy(SCRIPT, folder / "cc"))


def compile_with(compiler: Path, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """As triton.runtime.build does."""
    flags = [
        "-O3",
        "-shared",
        "-fPIC",
        "-Wno-psabi",
        "-o",
        str(target),
        "-l:libcuda.so.1",
        "-L/usr/lib",
        "-I/usr/include",
    ]
    return subprocess.run([compiler, source, *flags], check=False, capture_output=True, text=True)


def test_the_driver_is_handed_out(compiler: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "cuda_utils.c", tmp_path / "cuda_utils.so"
    source.write_text(DRIVER)
    done = compile_with(compiler, source, target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert target.read_bytes() == COMPILED


def test_anything_else_is_refused_in_one_sentence(compiler: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text("int other;\n")
    done = compile_with(compiler, source, target)
    assert done.returncode == 1
    assert done.stderr == (
        f"{compiler}: this image holds no C compiler, and {source} is not Triton's driver: "
        "use an image with gcc, and CC=gcc\n"
    )
    assert not target.exists()
