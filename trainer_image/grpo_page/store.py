"""What is asked of the files of completions, by DuckDB, which reads Parquet as it lies there."""

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import duckdb

from grpo_contract.completions import Column, block_of, files_of_blocks, files_of_steps
from grpo_page.query import PAGE_ROWS, Query

Row = dict[str, Any]

MEMORY: Final = "256MB"
THREADS: Final = 1
"""It shares its pod with a learner."""
SNIPPET: Final = 300
"""Letters of a text in a list."""
MOST_POINTS: Final = 300
"""Of a curve: of more steps each point is the mean of some."""
MERGED_WITHIN_S: Final = 10.0
"""Files of a block's steps are removed one after the other."""
LOOK_AGAIN_S: Final = 0.1

_GROUP: Final = f'"{Column.GROUP}"'
_KEY: Final = f"{Column.STEP}, {_GROUP}, {Column.MEMBER}"
_NUMBERS: Final = ", ".join(
    [
        *(_KEY, Column.ATTEMPT, Column.TOKENS, Column.IS_TRUNCATED),
        *(Column.WEIGHT_VERSION, Column.REWARD, Column.ADVANTAGE, Column.REWARDS, Column.COMPRESSION_RATIO),
    ]
)


class Store:
    """Called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damaged: dict[Path, tuple[int, int]] = {}
        """As they were when they could not be read."""
        self._database = duckdb.connect(config={"memory_limit": MEMORY, "threads": THREADS})
        self._database.execute("SET parquet_metadata_cache = true")
        self._database.execute(f"SET allowed_directories = [{_text(str(folder))}]")
        self._database.execute("SET enable_external_access = false")  # but for that folder, and for good

    @property
    def damaged(self) -> list[str]:
        """Names of files that are no Parquet, and are left out."""
        return sorted(file.name for file in self._damaged if self._is_damaged(file))

    def count(self, query: Query) -> int:
        condition, values = query.condition()
        rows = self._ask(f"SELECT count(*) AS number FROM completions WHERE {condition}", values)
        return int(rows[0]["number"]) if rows else 0

    def page(self, query: Query) -> list[Row]:
        """Which they are is found without their texts, which are most of what there is to read."""
        condition, values = query.condition()
        keys = self._ask(
            f"SELECT {_KEY} FROM completions WHERE {condition} "
            f"ORDER BY {query.order} LIMIT {PAGE_ROWS} OFFSET {query.offset}",
            values,
        )
        if not keys:
            return []
        places = [tuple(key.values()) for key in keys]
        steps = ", ".join({str(step) for step, _, _ in places})
        texts = ", ".join(f"left({text}, {SNIPPET}) AS {text}" for text in (Column.PROMPT, Column.COMPLETION))
        rows = self._ask(
            f"SELECT {_NUMBERS}, {texts} FROM completions "
            f"WHERE {Column.STEP} IN ({steps}) AND ({_KEY}) IN ({', '.join(map(str, places))})",
            [],
        )
        by_place = {(row[Column.STEP], row[Column.GROUP], row[Column.MEMBER]): row for row in rows}
        return [by_place[place] for place in places if place in by_place]

    def groups(self, step: int) -> list[Row]:
        return self._ask(
            f"SELECT {_GROUP}, count(*) AS size, left(any_value({Column.PROMPT}), {SNIPPET}) AS {Column.PROMPT}, "
            f"avg({Column.REWARD}) AS reward, stddev_pop({Column.REWARD}) AS spread, avg({Column.TOKENS}) AS mean_tokens, "
            f"count_if({Column.IS_TRUNCATED}) AS truncated "
            f"FROM completions WHERE {Column.STEP} = ? GROUP BY {_GROUP} ORDER BY {_GROUP}",
            [step],
        )

    def group(self, step: int, group: int) -> list[Row]:
        found = self._whole(f"{Column.STEP} = ? AND {_GROUP} = ?", [step, group])
        return found[0] if found else []

    def groups_of(self, step: int) -> list[list[Row]]:
        return self._whole(f"{Column.STEP} = ?", [step])

    def newest_groups(self, count: int) -> list[list[Row]]:
        """The newest first."""
        keys = self._ask(
            f"SELECT DISTINCT {Column.STEP}, {_GROUP} FROM completions ORDER BY {Column.STEP} DESC, {_GROUP} LIMIT ?",
            [count],
        )
        if not keys:
            return []
        places = [tuple(key.values()) for key in keys]
        steps = ", ".join({str(step) for step, _ in places})
        return self._whole(
            f"{Column.STEP} IN ({steps}) AND ({Column.STEP}, {_GROUP}) IN ({', '.join(map(str, places))})", []
        )

    def _whole(self, condition: str, values: Sequence[Any]) -> list[list[Row]]:
        """Groups with all that is known of them."""
        rows = self._ask(
            f"SELECT * FROM completions WHERE {condition} ORDER BY {Column.STEP} DESC, {_GROUP}, {Column.MEMBER}",
            values,
        )
        return [list(group) for _, group in groupby(rows, lambda row: (row[Column.STEP], row[Column.GROUP]))]

    def steps(self) -> tuple[int, int] | None:
        """The first and the last that there is anything of."""
        rows = self._ask(f"SELECT min({Column.STEP}) AS first, max({Column.STEP}) AS last FROM completions", [])
        return (rows[0]["first"], rows[0]["last"]) if rows else None

    def reward_functions(self) -> list[str]:
        rows = self._ask(f"SELECT {Column.REWARDS} FROM completions LIMIT 1", [])
        return list(rows[0][Column.REWARDS]) if rows else []

    def curves(self) -> list[Row]:
        """Means over the completions of steps, by step."""
        span = self.steps()
        if span is None:
            return []
        width = -(-(span[1] - span[0] + 1) // MOST_POINTS)
        functions = (
            f"avg({Column.REWARDS}[{_text(name)}]) AS {_name(f'reward {name}')}" for name in self.reward_functions()
        )
        means = [
            f"avg({Column.REWARD}) AS reward",
            *functions,
            f"stddev_pop({Column.REWARD}) AS {_name('spread of the reward')}",
            f"avg({Column.TOKENS}) AS tokens",
            f"avg({Column.IS_TRUNCATED}::INTEGER) AS {_name('truncated share')}",
            f"avg({Column.COMPRESSION_RATIO}) AS {_name('compression ratio')}",
        ]
        return self._ask(
            f"SELECT min({Column.STEP}) AS {Column.STEP}, {', '.join(means)} FROM completions "
            f"GROUP BY {Column.STEP} // {width} ORDER BY 1",
            [],
        )

    def _ask(self, question: str, values: Sequence[Any]) -> list[Row]:
        """A file may be merged or rotated away between a look into the folder and its opening.

        Raises:
            duckdb.Error: a file cannot be read, and that is not why; nor is it one that can be left out.
        """
        deadline = time.monotonic() + MERGED_WITHIN_S
        while True:
            try:
                return self._ask_once(question, values)
            except duckdb.InvalidInputException:
                if not self._finds_damage():
                    raise
            except duckdb.IOException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_AGAIN_S)

    def _is_damaged(self, file: Path) -> bool:
        """Still as it was. Others are not looked at: there are thousands, maybe on a slow volume."""
        return file in self._damaged and self._damaged[file] == _state(file)

    def _finds_damage(self) -> bool:
        """More than was known."""
        known = dict(self._damaged)
        files = _settled(self._folder)
        for file in (*files_of_steps(files).values(), *files_of_blocks(files).values()):
            with closing(self._database.cursor()) as cursor:
                try:
                    cursor.execute(f"SELECT 1 FROM parquet_file_metadata([{_text(str(file))}])").fetchall()
                except duckdb.InvalidInputException:
                    self._damaged[file] = _state(file)
                except duckdb.IOException:  # it is gone
                    continue
        return self._damaged != known

    def _ask_once(self, question: str, values: Sequence[Any]) -> list[Row]:
        """No row where there is no file."""
        source = completions_in(file for file in _settled(self._folder) if not self._is_damaged(file))
        if source is None:
            return []
        with closing(self._database.cursor()) as cursor:
            cursor.execute(f"WITH completions AS NOT MATERIALIZED ({source}) {question}", values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def completions_in(found: Iterable[Path]) -> str | None:
    """As SQL. A step that has a file of its own is about to be merged, or merged already."""
    files = list(found)
    steps, blocks = files_of_steps(files), files_of_blocks(files)
    merged = ", ".join(str(step) for step in steps if block_of(step) in blocks)
    sources = [
        *(
            [_rows_of(blocks.values()) + (f" WHERE {Column.STEP} NOT IN ({merged})" if merged else "")]
            if blocks
            else []
        ),
        *([_rows_of(steps.values())] if steps else []),
    ]
    return " UNION ALL BY NAME ".join(sources) or None


def _settled(folder: Path) -> list[Path]:
    """A folder is not listed in one moment: what is renamed meanwhile may be missed, until two lists are the same."""
    files, before = sorted(folder.glob("*")), None
    while files != before:
        files, before = sorted(folder.glob("*")), files
    return files


def _state(file: Path) -> tuple[int, int]:
    """Another one when it was written again."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _rows_of(files: Iterable[Path]) -> str:
    return f"SELECT * FROM read_parquet([{', '.join(_text(str(file)) for file in files)}], union_by_name = true)"


def _text(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"


def _name(value: str) -> str:
    quoted = value.replace('"', '""')
    return f'"{quoted}"'
