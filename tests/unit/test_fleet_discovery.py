import pytest

from grpo_trainer.fleet.discovery import ServiceDiscovery


@pytest.mark.parametrize(
    ("host", "urls"),
    [
        ("127.0.0.1", ["http://127.0.0.1:8000"]),
        ("::1", ["http://[::1]:8000"]),
        ("generators.invalid", []),  # as a headless Service without pods
    ],
)
def test_urls(host: str, urls: list[str]) -> None:
    assert ServiceDiscovery(host, 8000).urls() == urls
