"""What a recipe calls a model or a data set: a path in the pod or an id on the hub."""

from pathlib import Path


def is_path(name: str) -> bool:
    """Names that begin with a slash or a dot are paths; everything else is an id on the hub."""
    return name.startswith(("/", "."))


def siblings(path: Path) -> str:
    """What lies where a missing path should be, for the sentence that says so."""
    folder = path.parent
    return f"{folder} holds {listing(folder)}" if folder.is_dir() else f"nor does {folder}"


def listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:10] + ["..."] * (len(names) > 10)) or "nothing"
