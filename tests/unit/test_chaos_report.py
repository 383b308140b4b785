from typing import Any

from chaos.report import alert_markdown, markdown, merged

STRUCK = {
    "fault": "learner 0 killed",
    "noticed_s": [2.71, None],
    "recovered_s": [12.34, 9],
    "steps_lost": [2, 0],
    "result": "ok",
}
PLAYED = {
    "fault": "volume full",
    "tests": "tests/trainer/test_unwritten_checkpoints.py",
    "seconds": [33.1],
    "result": "ok",
}


def test_the_table_of_the_documentation() -> None:
    assert markdown([PLAYED, STRUCK]).splitlines()[1:] == [
        "| --- | --: | --: | --: | --: | --: |",
        "| learner 0 killed | 2.71 - | 12.3 9 |  | 2 0 |  |",
    ]


def test_a_row_takes_the_place_of_what_was_known_of_its_fault() -> None:
    again = STRUCK | {"result": "3 steps lost"}
    assert merged([], STRUCK, "fault") == [STRUCK]
    assert merged([STRUCK, PLAYED], again, "fault") == [again, PLAYED]
    assert merged([PLAYED, STRUCK], again, "fault") == [PLAYED, again]
    assert merged([PLAYED], STRUCK, "fault") == [PLAYED, STRUCK]


def test_the_table_of_alerts() -> None:
    down: dict[str, Any] = {"alert": "GRPOOperatorDown", "severity": "critical", "fault": "no operator"}
    lost: dict[str, Any] = {"alert": "GRPOGeneratorsLost", "severity": "warning", "fault": "no generator comes back"}
    down |= {"stated_s": 300.0, "fired_s": 304.4, "result": "ok"}
    lost |= {"stated_s": 900.0, "fired_s": None, "result": "has not fired within 960 s"}
    assert alert_markdown([down, lost]).splitlines() == [
        "| alert | severity | fault | for, s | fired after, s |",
        "| --- | --- | --- | --: | --: |",
        "| GRPOOperatorDown | critical | no operator | 300 | 304 |",
        "| GRPOGeneratorsLost | warning | no generator comes back | 900 | - |",
    ]
