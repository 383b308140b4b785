"""How fast a generator writes, measured at its answers."""

from typing import Final

STRETCHES: Final = 4
"""Which a pace is the average of, about: the lengths of completions make each a matter of chance."""
BENEFIT_OF_DOUBT: Final = 1.03
"""By how much faster a generator is thought to be after each batch that it got nothing of. One that was slow for a while (its
first request compiled kernels) gets another try so, and one that stays ten times slower is tried again once in some thirty batches."""


class Average:
    """Of all values so far, or of about the last `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._num = 0
        self.value: float | None = None

    def add(self, value: float) -> None:
        self._num = min(self._num + 1, self._most)
        before = self.value or 0.0
        self.value = before + (value - before) / self._num

    def presume(self, value: float) -> None:
        """Until the next value comes, which then counts as the first."""
        self._num, self.value = 0, value


class Pace:
    """Tokens of one generator's answers per second in which it had something under way.

    Single requests say nothing of it, since vLLM writes them side by side: when the first is answered most of the others
    are half written. So it is measured in stretches, each of which ends when all that was under way at its beginning is
    answered.
    """

    def __init__(self) -> None:
        self._tokens, self._seconds = Average(STRETCHES), Average(STRETCHES)
        self._under_way: set[object] = set()
        self._counted_until_s = 0.0
        self._begin_stretch(0.0)

    @property
    def tokens_per_s(self) -> float | None:
        """None before the end of the first stretch."""
        return self._tokens.value / self._seconds.value if self._tokens.value and self._seconds.value else None

    def sent(self, request: object, now_s: float) -> None:
        if not self._under_way:
            self._counted_until_s = now_s
            self._begin_stretch(now_s)
        self._under_way.add(request)
        if not self._num_tokens:
            self._awaited.add(request)

    def answered(self, request: object, num_tokens: int, now_s: float) -> float:
        """Seconds since the last end of a request in which something was under way."""
        self._num_tokens += num_tokens
        self._awaited.discard(request)
        self._under_way.discard(request)
        if not self._awaited:
            self._tokens.add(self._num_tokens)
            self._seconds.add(now_s - self._began_s)
            self._begin_stretch(now_s)
        return self._count(now_s)

    def failed(self, request: object, now_s: float) -> float:
        """As `answered`; the stretch says nothing any more."""
        self._under_way.discard(request)
        self._begin_stretch(now_s)
        return self._count(now_s)

    def passed_over(self) -> None:
        """A batch came, and nothing of it went to this generator: what is known of it gets old."""
        if self._tokens.value and self._seconds.value:
            self._tokens.presume(self._tokens.value)
            self._seconds.presume(self._seconds.value / BENEFIT_OF_DOUBT)

    def _begin_stretch(self, now_s: float) -> None:
        self._began_s = now_s
        self._num_tokens = 0
        self._awaited = set(self._under_way)

    def _count(self, now_s: float) -> float:
        counted_until_s, self._counted_until_s = self._counted_until_s, now_s
        return now_s - counted_until_s
