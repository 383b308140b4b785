from chaos.report import markdown, merged

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
    assert merged([], STRUCK) == [STRUCK]
    assert merged([STRUCK, PLAYED], again) == [again, PLAYED]
    assert merged([PLAYED, STRUCK], again) == [PLAYED, again]
    assert merged([PLAYED], STRUCK) == [PLAYED, STRUCK]
