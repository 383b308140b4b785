"""What is said between the learner and the process that pushes: one line of JSON each way."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)


class PushJob(_Line):
    repository: str
    is_private: bool | None
    branch: str
    message: str
    run: str
    """Stands in the commit's description: by it a run knows its own branch again."""
    is_guarded: bool
    files: dict[str, Path]
    """{path in the repository: file}."""
    card: str | None
    """The model card, where no file is one."""
    replaced_folder: str | None
    """Folder of the repository that holds nothing but what is pushed into it now."""


class PushResult(_Line):
    url: str | None = None
    """The commit; None: there is none."""
    is_refused: bool = False
    """To try again would end the same way."""
    message: str = ""
    """Why there is no commit."""


NO_TIME_LEFT: Final = PushResult(message="there was no time left")
