"""What says that a checkpoint is as it was written: checksums of its files, and the marker that holds them."""

from pathlib import Path

import pytest
import xxhash
from pydantic import BaseModel

from grpo_trainer.storage.checkpoint_files import MARKER
from grpo_trainer.storage.checksums import CHUNK_BYTES, FileSum, share_of_rank, sum_of, sums_of_rank
from grpo_trainer.storage.marker import DamagedMarkerError, Marker, marker_of, read_marker, text_of, write_marker

RANKS = {
    "model.safetensors": 0,
    "zero_to_fp32.py": 0,
    "rng_state.pth": 0,
    "rng_state_3.pth": 3,
    "midway_2.pt": 2,
    "global_step4/zero_pp_rank_12_mp_rank_00_model_states.pt": 12,
    "global_step4/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt": 1,
}
FILES = {name: FileSum(size=3, xxh3="00" * 16) for name in RANKS}
WRITTEN = Marker(step=4, max_steps=8, time="2026-01-01T00:00:00Z", for_recovery=True, for_recipe=False, files=FILES)
OF_OLDER_IMAGE = (
    '{"step":4,"max_steps":8,"time":"2026-01-01T00:00:00Z","for_recovery":true,"for_recipe":false,"ended_early":null,'
    '"best_step":null}'
)


def test_each_rank_sums_up_what_it_has_written(tmp_path: Path) -> None:
    for name in (*RANKS, MARKER, f".{MARKER}"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    for rank in range(13):
        sums = sums_of_rank(tmp_path, rank)
        assert set(sums) == {name for name, writer in RANKS.items() if writer == rank}
        assert all(
            sums[name] == FileSum(size=len(name), xxh3=xxhash.xxh3_128_hexdigest(name.encode())) for name in sums
        )


def test_a_file_of_several_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * (CHUNK_BYTES // 128 + 1)
    (tmp_path / "large").write_bytes(content)
    assert sum_of(tmp_path / "large") == FileSum(size=len(content), xxh3=xxhash.xxh3_128_hexdigest(content))


def test_each_rank_reads_its_own_part_and_some_of_what_is_for_all() -> None:
    part = {f"rng_state_{rank}.pth": FileSum(size=10, xxh3="") for rank in range(4)}
    for_all = {
        name: FileSum(size=size, xxh3="") for name, size in (("a", 100), ("b", 60), ("c", 50), ("d", 40), ("e", 1))
    }
    shares = [share_of_rank(part | for_all, rank, 4) for rank in range(4)]
    assert shares == [
        ["rng_state_0.pth", "a"],
        ["rng_state_1.pth", "b"],
        ["rng_state_2.pth", "c"],
        ["rng_state_3.pth", "d", "e"],
    ]
    assert sorted(share_of_rank(part | for_all, 0, 1)) == sorted([*part, *for_all])


def test_a_marker_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_marker(tmp_path, WRITTEN)
    assert read_marker(tmp_path) == WRITTEN


def test_a_marker_without_checksums_is_an_older_images() -> None:
    marker = marker_of(OF_OLDER_IMAGE.encode())
    assert (marker.step, marker.files) == (4, None)


class OlderMarker(BaseModel):
    """As images had it before there were checksums."""

    step: int
    max_steps: int
    time: str
    for_recovery: bool
    for_recipe: bool
    ended_early: str | None = None
    best_step: int | None = None


def test_older_images_read_a_marker_of_this_one() -> None:
    older = OlderMarker.model_validate_json(text_of(WRITTEN))
    assert older.model_dump() == WRITTEN.model_dump(exclude={"files"})


def test_a_marker_that_was_cut_off_anywhere_is_damaged() -> None:
    text = text_of(WRITTEN).encode()
    for length in range(len(text)):
        with pytest.raises(DamagedMarkerError):
            marker_of(text[:length])


def test_a_marker_with_any_bit_turned_is_damaged() -> None:
    text = text_of(WRITTEN).encode()
    for bit in range(8 * len(text)):
        turned = bytearray(text)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedMarkerError):
            marker_of(bytes(turned))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"\0" * 300, "it is no JSON of a marker"),
        (b"[]", "it is no JSON of a marker"),
        (b"7", "it is no JSON of a marker"),
        (b'{"step": 4}', "it is no JSON of a marker"),
        (text_of(WRITTEN).replace('"step":4', '"step":5').encode(), "its content does not match its checksum"),
        (OF_OLDER_IMAGE.replace("{", '{"files":{},', 1).encode(), "it has no checksum of its own"),
    ],
)
def test_what_is_wrong_with_a_marker(content: bytes, words: str) -> None:
    with pytest.raises(DamagedMarkerError, match=f"^{words}$"):
        marker_of(content)
