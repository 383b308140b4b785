import asyncio

from grpo_generator.pulse import SILENT_S, Pulse


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
        engine, pulse = Engine(), Pulse()
        for now_s, beats in ((100, True), (99 + SILENT_S, True), (100 + SILENT_S, False), (900, False)):
            assert pulse.beats(engine.answer, now_s) is beats
            await until_it_waits()
        assert engine.questions == 1  # for as long as it owes the answer
        engine.goes_on.set()
        await until_it_waits()
        assert pulse.beats(engine.answer, 910)

    asyncio.run(scene())


def test_what_an_engine_answers_is_vllms_to_judge() -> None:
    async def scene() -> None:
        engine, pulse = Engine(), Pulse()
        for now_s in (0, SILENT_S, 2 * SILENT_S):
            assert pulse.beats(engine.fail, now_s)
            await until_it_waits()

    asyncio.run(scene())
