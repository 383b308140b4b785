"""What the contract takes for a name of a repository, against huggingface_hub itself."""

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from unit.test_hub_names import NO_REPOSITORY, REPOSITORIES


@pytest.mark.parametrize("name", NO_REPOSITORY)
def test_what_is_refused_the_library_refuses(name: str) -> None:
    with pytest.raises(HFValidationError):
        validate_repo_id(name)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_what_is_taken_it_takes(name: str) -> None:
    validate_repo_id(name)
