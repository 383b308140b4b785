"""Code of reward functions that a run brings along (`spec.rewards.from`): where its modules lie in this pod.

A ConfigMap that changes changes in running pods as well, and a reward process that is started anew in the middle of an
attempt would have other functions than the ranks beside it. So its keys are copied when the pod starts, as is a single file;
a wheel is unpacked. A folder is used as it is: it may be large, and who writes to it in the middle of a run knows.
"""

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from grpo_contract.config import RewardCode
from grpo_contract.failure import PodReason, UserError
from grpo_contract.files import reward_code_folder
from grpo_contract.paths import permission_needed, siblings


def module_folders(code: Sequence[RewardCode], copies: Path) -> list[Path]:
    """To be searched for modules, in this order. What is copied goes into folders below `copies`.

    Raises:
        UserError: there is no code at one of the places.
    """
    return [_module_folder(place, source, copies / str(place)) for place, source in enumerate(code)]


def _module_folder(place: int, source: RewardCode, copy: Path) -> Path:
    entry = f"spec.rewards.from[{place}]"
    if source.config_map is not None:
        return copy_of_keys(f"{entry}.configMap.name: {source.config_map!r}", Path(reward_code_folder(place)), copy)
    if source.path is None:
        raise UserError(PodReason.REWARD_NOT_FOUND, f"{entry}: neither configMap nor path is set; set one of them.")
    with permission_needed(f"{entry}.path", source.path, PodReason.REWARD_NOT_FOUND):
        return folder_at(f"{entry}.path: {source.path!r}", Path(source.path), copy)


def copy_of_keys(subject: str, mounted: Path, copy: Path) -> Path:
    """All of them: a module may read a key that is none."""
    keys = sorted(key for key in mounted.iterdir() if key.is_file())  # beside them are folders that the kubelet swaps
    if not any(key.suffix == ".py" for key in keys):
        names = ", ".join(key.name for key in keys) or "nothing"
        raise no_code(subject, f"has no key that ends in .py but {names}; give each module a key, as in my_rewards.py")
    copy.mkdir()
    for key in keys:
        shutil.copyfile(key, copy / key.name)
    return copy


def folder_at(subject: str, path: Path, copy: Path) -> Path:
    if not path.exists():
        raise no_code(
            subject, f"does not exist, {siblings(path)}; give a folder, a .py file or a wheel in the learners' pods"
        )
    if path.is_dir():
        os.listdir(path)  # raises what an import would pass over
        return path
    if path.suffix == ".py":
        copy.mkdir()
        shutil.copyfile(path, copy / path.name)
        return copy
    if path.suffix == ".whl":
        return unpacked(subject, path, copy)
    raise no_code(subject, "is neither a folder nor a .py file nor a wheel; give one of them")


def unpacked(subject: str, wheel: Path, copy: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(copy)  # keeps within the folder whatever names it holds
    except zipfile.BadZipFile as error:
        raise no_code(subject, f"is no wheel ({error}); build it anew") from error
    return copy


def no_code(subject: str, problem: str) -> UserError:
    return UserError(PodReason.REWARD_NOT_FOUND, f"{subject} {problem}.")
