"""Which files an image is made from, and a name for exactly these files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ALWAYS = ("Dockerfile", ".dockerignore")


def context_files(project: Path) -> list[Path]:
    """All that the Dockerfile can see: what .dockerignore lets in (its lines that begin with `!`)."""
    admitted = [line[1:] for line in (project / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    files = {project / name for name in ALWAYS}
    for entry in admitted:
        path = project / entry
        files |= set(path.rglob("*")) if path.is_dir() else {path}
    return sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts)


def content_key(project: Path, files: Iterable[Path], extra: Iterable[str] = ()) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(project)}\0{len(content)}\0".encode() + content)
    for text in extra:
        digest.update(f"\0{text}".encode())
    return digest.hexdigest()[:16]
