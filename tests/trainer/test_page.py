"""The page of a run on a real server, over files whose content is known."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from grpo_contract.completions import BLOCK_STEPS, step_file
from grpo_contract.environment import TOKEN_FILE
from grpo_contract.network import HEALTH_PATH, PAGE_PORT
from grpo_contract.pod import token_of_page
from grpo_page.app import build_app
from grpo_page.curves import HEIGHT, WIDTH, curve
from grpo_page.difference import Part, difference
from grpo_page.query import PAGE_ROWS, Query, View, read_query
from grpo_page.store import Store
from grpo_trainer.completions.archive import Archive
from grpo_trainer.completions.batch import Batch, Written
from grpo_trainer.completions.table import build_table
from harness.waiting import wait_for
from trainer.running_generator import run_config

TOKEN = "secret-of-the-run"
LOOP = "<think>" + "because it is right " * 200 + "</think><answer>4</answer>"
THOUGHT = "<think>one and one and one and one make four</think><answer>4</answer>"
HASTY = "<think></think><answer>4</answer>"
WRONG = "<think>I count and count again until it is five</think><answer>5</answer>"
STEPS = BLOCK_STEPS + 20


def write(archive: Archive, step: int, attempt: int = 1) -> None:
    batch = Batch(
        step=step,
        attempt=attempt,
        at=datetime(2026, 11, 28, 12, step % 60),
        num_generations=2,
        prompts=["What is 2+2?"] * 2 + ["Is <b>2+2</b> four?"] * 2,
        completions=[THOUGHT, WRONG, LOOP if step == 7 else HASTY if step == 9 else WRONG, f"{WRONG} at step {step}"],
        written=[Written(5, 10, False, step), Written(5, 64, step == 3, step), *[Written(6, 20, False, step)] * 2],
        scores={"accuracy": [1.0, 0.0, float(step in (7, 9)), 0.0], 'it\'s "odd"': [0.0, 0.5, 0.5, 0.5]},
        weights=[1.0, 1.0],
        advantages=[1.0, -1.0, 0.0, 0.0],
    )
    archive.write(step, build_table(batch, None))
    archive.merge_before(step)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two attempts: the second one begins with the last step of the block."""
    folder = tmp_path_factory.mktemp("completions")
    first, second = (Archive(folder, attempt, 1 << 40) for attempt in (1, 2))
    for step in range(1, BLOCK_STEPS + 2):
        write(first, step)
    for step in range(BLOCK_STEPS, STEPS + 1):
        write(second, step, attempt=2)
    return folder


class Served:
    def __init__(self, folder: Path) -> None:
        self.token = TOKEN
        app = build_app("math", "0123456789ab", Store(folder), lambda: self.token)
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        wait_for("the page", lambda: self.server.started, 60)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.address + path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Served]:
    served = Served(folder)
    yield served
    served.close()


class TestAccess:
    @pytest.mark.parametrize("path", ["/", "/curves", "/steps/1", "/api/groups", "/static/page.css", "/nothing"])
    @pytest.mark.parametrize("shown", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
    def test_nothing_is_told_without_the_token(self, page: Served, path: str, shown: dict[str, str]) -> None:
        answer = requests.get(page.address + path, headers=shown, timeout=30)
        assert (answer.status_code, "2+2" in answer.text) == (401, False)
        assert "kubectl grpo open" in answer.text

    def test_a_wrong_one_in_the_address_does_not_help(self, page: Served) -> None:
        assert requests.get(f"{page.address}/?token=wrong", timeout=30).status_code == 401

    def test_whether_it_is_there_is_no_secret(self, page: Served) -> None:
        assert requests.get(f"{page.address}/healthz", timeout=30).text == "ok\n"

    def test_a_browser_shows_it_once(self, page: Served) -> None:
        session = requests.Session()
        answer = session.get(f"{page.address}/curves?token={TOKEN}&x=1", timeout=30)
        assert "HttpOnly; Path=/; SameSite=strict" in answer.history[0].headers["Set-Cookie"]
        assert (answer.status_code, answer.url) == (200, f"{page.address}/curves?x=1")
        assert session.cookies.get_dict() == {"grpo-01234567": TOKEN}
        assert session.get(f"{page.address}/", timeout=30).status_code == 200

    def test_a_token_that_was_rotated_counts_no_more(self, folder: Path) -> None:
        served = Served(folder)
        try:
            served.token = "another"
            assert served.get("/").status_code == 401
        finally:
            served.close()

    def test_what_a_model_wrote_is_never_run(self, page: Served) -> None:
        answer = page.get("/steps/1/groups/1")
        assert "Is &lt;b&gt;2+2&lt;/b&gt; four?" in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_pods_process_answers_who_forwards_to_it_and_no_other_pod(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(run_config({"model_name_or_path": "m"}).model_dump_json())
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    environment = os.environ | {TOKEN_FILE: str(tmp_path / "token")}
    command = [sys.executable, "-m", "grpo_page", str(tmp_path / "run.json")]
    with subprocess.Popen(command, env=environment) as process:
        try:
            wait_for("an answer", lambda: is_healthy(f"http://127.0.0.1:{PAGE_PORT}"), 60)
            (listener,) = [entry for entry in listeners() if entry.endswith(f":{PAGE_PORT:04X}")]
            assert listener.startswith("0100007F:")
            headers = {"Authorization": f"Bearer {token_of_page(TOKEN)}"}
            assert requests.get(f"http://127.0.0.1:{PAGE_PORT}/", headers=headers, timeout=30).status_code == 200
            headers = {"Authorization": f"Bearer {TOKEN}"}
            assert requests.get(f"http://127.0.0.1:{PAGE_PORT}/", headers=headers, timeout=30).status_code == 401
            niceness = os.getpriority(os.PRIO_PROCESS, process.pid)
            adjustment = Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip()
            assert (niceness, adjustment) == (19, "1000")
        finally:
            process.kill()


def listeners() -> list[str]:
    """Addresses and ports, as the kernel writes them."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return [address for _, address, _, state, *_ in lines if state == "0A"]


def is_healthy(address: str) -> bool:
    try:
        return requests.get(address + HEALTH_PATH, timeout=5).text == "ok\n"
    except requests.ConnectionError:
        return False


class TestList:
    def test_all_are_counted_once(self, page: Served) -> None:
        assert f"{STEPS * 4} completions: all, the newest first." in page.get("/").text

    def test_the_newest_come_first(self, folder: Path) -> None:
        rows = Store(folder).page(Query())
        assert [(row["step"], row["group"], row["member"]) for row in rows[:5]] == [
            *((STEPS, group, member) for group in (0, 1) for member in (0, 1)),
            (STEPS - 1, 0, 0),
        ]
        assert len(rows) == PAGE_ROWS

    def test_pages_follow_each_other(self, folder: Path) -> None:
        store, seen = Store(folder), []
        for number in range(1, STEPS * 4 // PAGE_ROWS + 2):
            seen += [(row["step"], row["group"], row["member"]) for row in store.page(Query(page=number))]
        assert len(seen) == len(set(seen)) == STEPS * 4
        assert store.page(Query(page=number + 1)) == []

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            (Query(View.TRUNCATED), {(3, 0, 1)}),
            (Query(View.SUSPECTED), {(7, 1, 0), (9, 1, 0)}),
            (Query(search="STEP 11"), {(11, 1, 1), *((step, 1, 1) for step in range(110, STEPS + 1))}),
            (Query(search="<B>2+2", first=4, last=4), {(4, 1, 0), (4, 1, 1)}),
            (Query(search="' OR 1=1 --"), set()),
            (Query(View.TRUNCATED, first=4), set()),
        ],
        ids=str,
    )
    def test_filters(self, folder: Path, asked: Query, found: set[tuple[int, int, int]]) -> None:
        store = Store(folder)
        assert {(row["step"], row["group"], row["member"]) for row in store.page(asked)} == found
        assert store.count(asked) == len(found)

    def test_the_best_and_the_worst(self, folder: Path) -> None:
        store = Store(folder)
        assert {row["reward"] for row in store.page(Query(View.WORST))} == {0.5}
        best = store.page(Query(View.BEST))
        assert [(row["step"], row["reward"]) for row in best[:3]] == [(9, 1.5), (7, 1.5), (STEPS, 1.0)]

    def test_where_functions_contradict_each_other(self, folder: Path) -> None:
        """In each step the first one alone is right, and has none of the other reward."""
        first = Store(folder).page(Query(View.DISAGREEMENT, first=20, last=20))[0]
        assert (first["group"], first["member"], first["rewards"]) == (0, 0, {"accuracy": 1.0, 'it\'s "odd"': 0.0})

    def test_a_step_that_was_made_again_is_shown_once(self, folder: Path) -> None:
        assert {row["attempt"] for row in Store(folder).group(BLOCK_STEPS, 0)} == {2}
        assert {row["attempt"] for row in Store(folder).group(BLOCK_STEPS - 1, 0)} == {1}
        assert Store(folder).count(Query(first=BLOCK_STEPS, last=BLOCK_STEPS)) == 4

    def test_a_step_that_is_being_merged_is_shown_once(self, tmp_path: Path) -> None:
        archive = Archive(tmp_path, 1, 1 << 40)
        for step in range(1, BLOCK_STEPS + 1):
            write(archive, step)
        left = (tmp_path / step_file(3)).read_bytes()
        write(archive, BLOCK_STEPS + 1)
        (tmp_path / step_file(3)).write_bytes(left)
        assert Store(tmp_path).count(Query()) == 4 * (BLOCK_STEPS + 1)

    def test_files_that_come_and_go_meanwhile(self, tmp_path: Path) -> None:
        store, stop = Store(tmp_path), threading.Event()
        archive = Archive(tmp_path, 1, 1 << 40)

        def write_on() -> None:
            for step in range(1, 2 * BLOCK_STEPS + 2):
                write(archive, step)
            stop.set()

        writer = threading.Thread(target=write_on)
        writer.start()
        counts = []
        while not stop.is_set():
            counts.append(store.count(Query()))
        writer.join()
        assert counts
        assert counts == sorted(counts)
        assert store.count(Query()) == 4 * (2 * BLOCK_STEPS + 1)

    def test_a_file_that_is_no_parquet_is_left_out_and_named(self, tmp_path: Path) -> None:
        archive = Archive(tmp_path, 1, 1 << 40)
        for step in (1, 2, 3):
            write(archive, step)
        damaged = tmp_path / step_file(2)
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:100])
        served = Served(tmp_path)
        try:
            assert "8 completions" in served.get("/").text
            assert f"cannot be read: {damaged.name}<" in served.get("/").text
            damaged.write_bytes(whole)
            assert "12 completions" in served.get("/").text
            assert "cannot be read" not in served.get("/").text
            damaged.write_bytes(b"")
            assert "8 completions" in served.get("/").text
        finally:
            served.close()

    def test_a_run_that_has_written_nothing(self, tmp_path: Path) -> None:
        served = Served(tmp_path / "absent")
        try:
            assert "0 completions" in served.get("/").text
            assert served.get("/curves").status_code == 200
            assert served.get("/api/groups").json() == []
        finally:
            served.close()


class TestAddresses:
    @pytest.mark.parametrize(
        ("given", "query"),
        [
            ({}, Query()),
            ({"view": "best", "search": "x", "first": "2", "last": "3", "page": "4"}, Query(View.BEST, "x", 2, 3, 4)),
            ({"view": "nonsense", "first": "-1", "last": "1e3", "page": "0"}, Query()),
            ({"first": "", "last": "", "page": "9" * 40}, Query()),
        ],
    )
    def test_are_read(self, given: dict[str, str], query: Query) -> None:
        assert read_query(given) == query

    def test_of_the_next_page_says_the_same(self) -> None:
        assert Query(View.WORST, "a b&c", 1, 9).at_page(2) == "?view=worst&search=a+b%26c&first=1&last=9&page=2"
        assert Query().at_page(1) == "?"


class TestGroups:
    def test_of_a_step(self, page: Served) -> None:
        text = page.get("/steps/7").text
        assert "Step 7" in text
        assert text.count("/steps/7/groups/") == 2

    def test_all_that_is_known_of_a_completion(self, page: Served) -> None:
        text = page.get("/steps/3/groups/0").text
        for words in (
            "What is 2+2?",
            "weight version 3",
            "advantage -1",
            "accuracy 1",
            "64 tokens",
            "cut off",
            "attempt 1",
        ):
            assert words in text

    @pytest.mark.parametrize("path", ["/steps/999", "/steps/1/groups/7", "/steps/1/groups/0/difference?one=0&other=9"])
    def test_what_is_not_there_is_said(self, page: Served, path: str) -> None:
        answer = page.get(path)
        assert answer.status_code == 404
        assert "no" in answer.text

    def test_the_difference_of_two(self, page: Served) -> None:
        text = page.get("/steps/1/groups/0/difference?one=0&other=1").text
        assert "<del>" in text
        assert "<ins>5</ins>&lt;/answer&gt;" in text

    def test_for_programs(self, page: Served) -> None:
        (group,) = page.get("/api/groups?last=1").json()
        assert [(row["step"], row["group"], row["member"]) for row in group] == [(STEPS, 0, 0), (STEPS, 0, 1)]
        assert group[0]["rewards"] == {"accuracy": 1.0, 'it\'s "odd"': 0.0}
        assert group[0]["completion"] == THOUGHT
        assert [rows[0]["group"] for rows in page.get("/api/groups?step=7").json()] == [0, 1]


class TestCurves:
    def test_are_means_of_steps(self, folder: Path) -> None:
        curves = Store(folder).curves()
        assert [point["step"] for point in curves] == list(range(1, STEPS + 1))
        assert curves[6]["reward"] == pytest.approx((1.0 + 0.5 + 1.5 + 0.5) / 4)
        assert curves[6]["reward accuracy"] == pytest.approx(0.5)
        assert curves[2]["truncated share"] == pytest.approx(0.25)

    def test_are_drawn_within_their_frame(self) -> None:
        drawn = curve("reward", [1, 2, 3], [0.0, None, 2.0])
        assert drawn is not None
        assert drawn.points == f"0.0,{HEIGHT}.0 {WIDTH}.0,0.0"
        assert (drawn.low, drawn.high, drawn.newest, drawn.first_step, drawn.last_step) == ("0", "2", "2", 1, 3)
        assert curve("kl", [1], [None]) is None

    def test_are_on_the_page(self, page: Served) -> None:
        text: Any = page.get("/curves").text
        assert text.count("<polyline") == 7
        assert "reward it&#39;s &#34;odd&#34;" in text


def test_the_difference_keeps_both_texts_whole() -> None:
    one, other = difference("the answer is 4.", "an answer is 5.")
    assert "".join(part.text for part in one) == "the answer is 4."
    assert one == [Part("the", False), Part(" answer is ", True), Part("4", False), Part(".", True)]
    assert [part for part in other if not part.is_common] == [Part("an", False), Part("5", False)]


def test_long_completions_are_compared_by_line() -> None:
    lines = [f"line {number} has some words\n" for number in range(2000)]
    one, other = difference("".join(lines), "".join([*lines[:1000], "another\n", *lines[1001:]]))
    assert [part for part in one if not part.is_common] == [Part(lines[1000], False)]
    assert [part for part in other if not part.is_common] == [Part("another\n", False)]
