"""Completions on the volume: their rows, their files, what becomes of them when a step is made again or the volume is full."""

import math
import shutil
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from grpo_contract.completions import BLOCK_STEPS, Column, step_file
from grpo_trainer.completions.archive import Archive
from grpo_trainer.completions.batch import Batch, Written, sampled_groups
from grpo_trainer.completions.keeper import WAITING, CompletionsKeeper
from grpo_trainer.completions.signals import WINDOW_BYTES, compression_ratio, reasoning_words
from grpo_trainer.completions.table import build_table, disagreements, text_of
from grpo_trainer.storage import fence

AT = datetime(2026, 11, 28, 12, 0)
PLENTY = 1 << 40
PROSE = (
    "We have to find the number of apples. Anna starts with twelve and gives five of them to her brother, so seven are left. "
    "Then she buys two bags with six apples each, which makes twelve more, and together these are nineteen apples. "
)


def batch(step: int = 1, attempt: int = 1, **changes: Any) -> Batch:
    """Two groups of two."""
    usual: dict[str, Any] = {
        "step": step,
        "attempt": attempt,
        "at": AT,
        "num_generations": 2,
        "prompts": ["1+1=", "1+1=", "2+2=", "2+2="],
        "completions": [f"{attempt}a", "b", "c", "d"],
        "written": [Written(4, 1, False, 7), Written(4, 2, True, 7), Written(4, 3, False, 8), Written(4, 4, False, 8)],
        "scores": {"accuracy": [1.0, 0.0, math.nan, 1.0], "format": [0.5, 0.5, math.nan, 0.0]},
        "weights": [1.0, 2.0],
        "advantages": [1.0, -1.0, 0.0, 0.5],
    }
    return Batch(**usual | changes)


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / name).to_pylist()
    return found


class TestRows:
    def test_each_completion_has_its_own(self) -> None:
        first, second, third, fourth = build_table(batch(step=3, attempt=2), None).to_pylist()
        assert first == {
            "step": 3,
            "attempt": 2,
            "at": AT,
            "group": 0,
            "member": 0,
            "prompt": "1+1=",
            "completion": "2a",
            "prompt_tokens": 4,
            "tokens": 1,
            "is_truncated": False,
            "weight_version": 7,
            "reward": 2.0,
            "advantage": 1.0,
            "rewards": {"accuracy": 1.0, "format": 0.5},
            "disagreement": pytest.approx(0.0, abs=1e-6),
            "compression_ratio": 1.0,
            "reasoning_words": None,
        }
        assert (second["group"], second["member"], second["is_truncated"]) == (0, 1, True)
        assert (third["group"], third["member"], third["weight_version"]) == (1, 0, 8)
        assert fourth["reward"] == 1.0

    def test_what_no_function_scored_has_no_reward(self) -> None:
        third = build_table(batch(), None).to_pylist()[2]
        assert third["reward"] is None
        assert third["rewards"] == {"accuracy": None, "format": None}
        assert third["disagreement"] is None

    def test_so_many_groups_as_are_wanted_are_kept_whole(self) -> None:
        (kept,) = sampled_groups(batch(), 1)
        table = build_table(batch(), 1)
        assert table[Column.GROUP].to_pylist() == [kept] * 2
        assert sampled_groups(batch(), None) == sampled_groups(batch(), 2) == [0, 1]

    def test_others_are_kept_of_other_steps(self) -> None:
        assert {tuple(sampled_groups(batch(step=step), 1)) for step in range(1, 20)} == {(0,), (1,)}

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ("plain", "plain"),
            ([{"role": "assistant", "content": "4"}], "4"),
            (
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}],
                "[system]\nBe brief.\n\n[user]\n2+2?",
            ),
            (
                [{"role": "assistant", "content": "", "tool_calls": [{"name": "add"}]}],
                '\n{"tool_calls": [{"name": "add"}]}',
            ),
            ([{"role": "user", "content": [{"type": "text", "text": "ö"}]}], '[user]\n[{"type": "text", "text": "ö"}]'),
        ],
    )
    def test_conversations_are_told_as_text(self, given: Any, text: str) -> None:
        assert text_of(given) == text


class TestSignals:
    def test_the_same_words_again_and_again_compress_far_better_than_prose(self) -> None:
        prose, loop = compression_ratio(PROSE * 2), compression_ratio("the answer is correct because " * 100)
        assert prose < 3.5 < 10 < loop

    def test_a_loop_is_found_wherever_it_stands(self) -> None:
        letters = "".join(chr(97 + (n * n * 31 + n * 7) % 26) for n in range(2 * WINDOW_BYTES))
        assert compression_ratio(letters + "yes " * WINDOW_BYTES) > 10

    def test_a_short_text_says_nothing(self) -> None:
        assert compression_ratio("42 42 42 42") == compression_ratio("") == 1.0

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("<think>one two three</think><answer>4</answer>", 3),
            ("<think>\n\n</think><answer>4</answer>", 0),
            ("<think>cut off here", 3),
            ("it is <answer>4</answer>", 2),
            (r"so \boxed{4}", 1),
            (r"\boxed{4}", 0),
            ("a text that marks neither", None),
        ],
    )
    def test_words_of_reasoning_are_those_before_the_answer(self, text: str, words: int | None) -> None:
        assert reasoning_words(text) == words

    def test_functions_disagree_by_standard_deviations_of_their_own(self) -> None:
        # means 1 and 20, deviations 1 and 10
        assert disagreements([[0.0, 2.0, 0.0, 2.0], [10.0, 30.0, 30.0, 10.0]]) == pytest.approx([0.0, 0.0, 2.0, 2.0])

    def test_a_function_that_says_the_same_of_all_disagrees_with_none(self) -> None:
        assert disagreements([[0.0, 2.0], [5.0, 5.0]]) == [None, None]


class TestFiles:
    def test_each_step_has_one(self, tmp_path: Path) -> None:
        archive = Archive(tmp_path / "completions", 1, PLENTY)
        for step in (1, 2):
            archive.write(step, build_table(batch(step), None))
        assert names(tmp_path / "completions") == ["step-00000001.parquet", "step-00000002.parquet"]

    def test_a_block_that_is_over_becomes_one_file(self, tmp_path: Path) -> None:
        write(tmp_path, range(1, BLOCK_STEPS + 2))
        block = f"steps-00000001-{BLOCK_STEPS:08}.parquet"
        assert names(tmp_path) == [f"step-{BLOCK_STEPS + 1:08}.parquet", block]
        assert [row["step"] for row in rows(tmp_path, block)] == [
            step for step in range(1, BLOCK_STEPS + 1) for _ in range(4)
        ]
        assert pq.ParquetFile(tmp_path / block).num_row_groups == BLOCK_STEPS

    def test_an_attempt_that_goes_on_from_a_checkpoint_takes_the_place_of_what_came_after_it(
        self, tmp_path: Path
    ) -> None:
        write(tmp_path, range(1, 2 * BLOCK_STEPS + 4))
        (tmp_path / f".unfinished-1-{step_file(BLOCK_STEPS)}").write_bytes(b"of one that was killed")
        write(tmp_path, [BLOCK_STEPS - 1], attempt=2)
        block = f"steps-00000001-{BLOCK_STEPS:08}.parquet"
        assert names(tmp_path) == [f"step-{BLOCK_STEPS - 1:08}.parquet", block]
        write(tmp_path, range(BLOCK_STEPS - 1, BLOCK_STEPS + 2), attempt=3)
        assert names(tmp_path) == [f"step-{BLOCK_STEPS + 1:08}.parquet", block]
        attempts = {row["step"]: row["attempt"] for row in rows(tmp_path, block)}
        assert attempts == dict.fromkeys(range(1, BLOCK_STEPS - 1), 1) | dict.fromkeys(
            (BLOCK_STEPS - 1, BLOCK_STEPS), 3
        )

    def test_a_step_may_learn_from_several_batches(self, tmp_path: Path) -> None:
        archive = Archive(tmp_path, 1, PLENTY)
        for completions in (["a", "b", "c", "d"], ["e", "f", "g", "h"]):
            archive.write(1, build_table(batch(1, completions=completions), None))
        found = rows(tmp_path, "step-00000001.parquet")
        assert [row["completion"] for row in found] == list("abcdefgh")
        assert [row["group"] for row in found] == [0, 0, 1, 1, 2, 2, 3, 3]

    def test_a_block_takes_files_of_an_image_with_another_column(self, tmp_path: Path) -> None:
        write(tmp_path, [1])
        older = pq.read_table(tmp_path / "step-00000001.parquet").drop_columns([Column.REASONING_WORDS])
        pq.write_table(older, tmp_path / "step-00000001.parquet")
        write(tmp_path, [2, BLOCK_STEPS + 1])
        merged = rows(tmp_path, f"steps-00000001-{BLOCK_STEPS:08}.parquet")
        assert [row["completion"] for row in merged] == ["1a", "b", "c", "d"] * 2
        assert {row["reasoning_words"] for row in merged} == {None}

    def test_the_oldest_are_removed_when_there_is_too_much(self, tmp_path: Path) -> None:
        """Files of different sizes, several at once."""
        write(tmp_path, range(1, BLOCK_STEPS + 6))
        sizes = {name: (tmp_path / name).stat().st_size for name in names(tmp_path)}
        last = [f"step-{BLOCK_STEPS + more:08}.parquet" for more in (3, 4, 5)]
        Archive(tmp_path, 1, sum(sizes[name] for name in last)).rotate()
        assert names(tmp_path) == last

    def test_the_newest_stays_whatever_its_size(self, tmp_path: Path) -> None:
        write(tmp_path, [1, 2])
        Archive(tmp_path, 1, 1).rotate()
        assert names(tmp_path) == ["step-00000002.parquet"]

    def test_room_is_made_before_more_is_written(self, tmp_path: Path) -> None:
        write(tmp_path, [1, 2, 3])
        archive = Archive(tmp_path, 1, 1)
        archive.write(4, build_table(batch(4), None))
        assert names(tmp_path) == [f"step-{step:08}.parquet" for step in (3, 4)]

    def test_a_small_volume_is_for_checkpoints(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path, [1, 2, 3])
        size = (tmp_path / "step-00000001.parquet").stat().st_size
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total=25 * size))
        Archive(tmp_path, 1, PLENTY).rotate()
        assert names(tmp_path) == [f"step-{step:08}.parquet" for step in (2, 3)]

    def test_a_file_that_could_not_be_written_leaves_the_one_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = Archive(tmp_path, 1, PLENTY)
        archive.write(1, build_table(batch(1), None))
        monkeypatch.setattr("grpo_trainer.completions.archive.flush_one", out_of_space)
        with pytest.raises(OSError, match="No space left"):
            archive.write(1, build_table(batch(1), None))
        assert names(tmp_path) == ["step-00000001.parquet"]
        assert len(rows(tmp_path, "step-00000001.parquet")) == 4


class Usage(NamedTuple):
    total: int


def out_of_space(_: Path) -> None:
    raise OSError(28, "No space left on device")


def write(folder: Path, steps: Sequence[int] | range, attempt: int = 1) -> None:
    """What earlier calls of the same attempt have written is there as well."""
    archive = Archive(folder, attempt, PLENTY)
    for step in steps:
        archive.write(step, build_table(batch(step, attempt), None))
        archive.merge_before(step)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


class Held(Archive):
    """Writes when it may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1, PLENTY)
        self.may = threading.Event()

    def write(self, step: int, table: Any) -> None:
        assert self.may.wait(60)
        super().write(step, table)


class TestKeeper:
    def test_what_was_handed_over_is_there_at_the_end(self, tmp_path: Path) -> None:
        lost: list[int] = []
        with CompletionsKeeper(Archive(tmp_path, 1, PLENTY), tmp_path.parent, None, lost.append) as keeper:
            for step in (1, 2, 3):
                keeper.keep(batch(step))
        assert names(tmp_path) == [f"step-{step:08}.parquet" for step in (1, 2, 3)]
        assert lost == []

    def test_training_does_not_wait_for_a_slow_volume(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        lost: list[int] = []
        archive = Held(tmp_path)
        with CompletionsKeeper(archive, tmp_path.parent, None, lost.append) as keeper:
            for step in range(1, WAITING + 5):
                keeper.keep(batch(step))
            archive.may.set()
        assert sum(lost) == 4 * (WAITING + 4 - len(names(tmp_path)))
        assert len(names(tmp_path)) in (WAITING, WAITING + 1)  # one may be in the thread's hands already
        assert caplog.text.count("more slowly than they are learnt from") == 1

    def test_a_volume_that_refuses_ends_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        lost: list[int] = []
        monkeypatch.setattr("grpo_trainer.completions.archive.flush_one", out_of_space)
        with CompletionsKeeper(Archive(tmp_path, 1, PLENTY), tmp_path.parent, None, lost.append) as keeper:
            keeper.keep(batch(1))
            keeper.keep(batch(2))
        assert lost == [4, 4]
        assert names(tmp_path) == []
        assert caplog.text.count("OSError: [Errno 28] No space left on device") == 1

    def test_what_was_not_sampled_is_not_lost(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lost: list[int] = []
        monkeypatch.setattr("grpo_trainer.completions.archive.flush_one", out_of_space)
        with CompletionsKeeper(Archive(tmp_path, 1, PLENTY), tmp_path.parent, 1, lost.append) as keeper:
            keeper.keep(batch(1))
        assert lost == [2]

    def test_an_attempt_that_has_a_successor_writes_no_more(self, tmp_path: Path) -> None:
        (tmp_path / fence.FILE).write_text("2")
        lost: list[int] = []
        with CompletionsKeeper(Archive(tmp_path / "completions", 1, PLENTY), tmp_path, None, lost.append) as keeper:
            keeper.keep(batch(1))
        assert lost == [4]
        assert not (tmp_path / "completions").exists()

    def test_a_failed_attempt_does_not_wait_for_a_volume(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("grpo_trainer.completions.keeper.FINISH_WHEN_FAILED_S", 0.1)
        archive, lost = Held(tmp_path), list[int]()
        with (
            pytest.raises(ValueError, match="training failed"),
            CompletionsKeeper(archive, tmp_path, None, lost.append) as keeper,
        ):
            keeper.keep(batch(1))
            raise ValueError("training failed")
        assert names(tmp_path) == []
        archive.may.set()

    def test_a_file_that_cannot_be_merged_is_said_and_loses_nothing_else(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "step-00000001.parquet").write_text("damaged")
        lost: list[int] = []
        archive = Archive(tmp_path, 1, PLENTY)
        with CompletionsKeeper(archive, tmp_path.parent, None, lost.append) as keeper:
            keeper.keep(batch(BLOCK_STEPS + 1))
            keeper.keep(batch(BLOCK_STEPS + 2))
        assert lost == []
        assert names(tmp_path) == [f"step-{step:08}.parquet" for step in (1, BLOCK_STEPS + 1, BLOCK_STEPS + 2)]
        assert caplog.text.count("files are not merged") == 1
