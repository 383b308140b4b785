import socket
from typing import Any

import pytest

from grpo_trainer.fleet.discovery import ServiceDiscovery


@pytest.mark.parametrize(
    ("host", "urls"),
    [
        ("127.0.0.1", ["http://127.0.0.1:8000"]),
        ("::1", ["http://[::1]:8000"]),
    ],
)
def test_urls(host: str, urls: list[str]) -> None:
    assert ServiceDiscovery(host, 8000).urls() == urls


@pytest.mark.parametrize(
    ("code", "urls"),
    [
        (socket.EAI_NONAME, []),
        (socket.EAI_NODATA, []),
        (socket.EAI_AGAIN, ["http://127.0.0.1:8000"]),  # the cluster's DNS does not answer
        (socket.EAI_FAIL, ["http://127.0.0.1:8000"]),
    ],
)
def test_only_an_answer_empties_the_fleet(monkeypatch: pytest.MonkeyPatch, code: int, urls: list[str]) -> None:
    discovery = ServiceDiscovery("127.0.0.1", 8000)
    assert discovery.urls() == ["http://127.0.0.1:8000"]
    answer_with(monkeypatch, code)
    assert discovery.urls() == urls
    assert discovery.urls() == urls


def test_what_was_known_before_the_name_was_gone_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    discovery = ServiceDiscovery("127.0.0.1", 8000)
    discovery.urls()
    for code in (socket.EAI_NONAME, socket.EAI_AGAIN):
        answer_with(monkeypatch, code)
        assert discovery.urls() == []


def answer_with(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(code, "as getaddrinfo does")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
