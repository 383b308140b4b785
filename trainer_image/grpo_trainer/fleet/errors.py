"""How dealing with generators goes wrong."""

from grpo_contract.failure import Failure, PodReason


class GeneratorLost(Exception):
    """One generator is of no use for now: it does not answer, answers with an error, or holds other weights."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        words: str = "",
        *,
        is_down: bool = False,
        is_leaving: bool = False,
    ) -> None:
        """`status` and `words` are of the HTTP answer, where there was one. `is_down`: nothing listens on its port, as long
        as it starts, and it costs nothing to ask it. `is_leaving`: it was asked to end, and finishes what it is writing."""
        super().__init__(message)
        self.status = status
        self.words = words
        self.is_down = is_down
        self.is_leaving = is_leaving


class GeneratorsLost(Exception):
    """No generator was left to write completions until the deadline. Another attempt may find some."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason=PodReason.GENERATORS_LOST, message=message)
