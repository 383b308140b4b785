import asyncio

from grpo_generator.pulse import SILENT_S, Pulse

SWAP_S = 600.0


class Clock:
    s = 100.0

    def __call__(self) -> float:
        return self.s


class Engine:
    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.questions = 0

    async def answer(self) -> None:
        self.questions += 1
        await self.goes_on.wait()

    async def fail(self) -> None:
        raise RuntimeError("EngineDeadError")


async def until_it_waits() -> None:
    """For a task that was begun to come to its first wait, or its end."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_an_engine_that_hangs_and_goes_on() -> None:
    async def scene() -> None:
        engine, clock = Engine(), Clock()
        pulse = Pulse(SWAP_S, clock)
        for now_s, beats in ((100, True), (99 + SILENT_S, True), (100 + SILENT_S, False), (900, False)):
            clock.s = now_s
            assert pulse.beats(engine.answer) is beats
            await until_it_waits()
        assert engine.questions == 1  # for as long as it owes the answer
        engine.goes_on.set()
        await until_it_waits()
        assert pulse.beats(engine.answer)

    asyncio.run(scene())


def test_an_engine_is_not_asked_while_it_takes_weights() -> None:
    async def scene() -> None:
        engine, clock = Engine(), Clock()
        pulse = Pulse(SWAP_S, clock)
        with pulse.swapping():
            clock.s += SWAP_S - 1
            assert pulse.beats(engine.answer)
            assert engine.questions == 0
            clock.s += 1  # that is too long, and it is asked
            assert pulse.beats(engine.answer)
            await until_it_waits()
            clock.s += SILENT_S
            assert not pulse.beats(engine.answer)
        assert engine.questions == 1

    asyncio.run(scene())


def test_what_an_engine_answers_is_vllms_to_judge() -> None:
    async def scene() -> None:
        engine, clock = Engine(), Clock()
        pulse = Pulse(SWAP_S, clock)
        for now_s in (0, SILENT_S, 2 * SILENT_S):
            clock.s = now_s
            assert pulse.beats(engine.fail)
            await until_it_waits()

    asyncio.run(scene())
