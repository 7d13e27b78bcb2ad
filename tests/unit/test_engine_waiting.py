"""Waiting for the first of many, as asyncio does it."""

import asyncio

import pytest

from slipway.engine.waiting import wait

pytestmark = pytest.mark.unit


def test_it_returns_with_the_first_that_completes_and_leaves_the_others():
    async def run() -> tuple[list[int], int]:
        async def after(seconds: float, value: int) -> int:
            await asyncio.sleep(seconds)
            return value

        pending = {asyncio.ensure_future(after(number / 50, number)) for number in (3, 1, 2)}
        order: list[int] = []
        rounds = 0
        while pending:
            done, pending = await wait(pending, return_when=asyncio.FIRST_COMPLETED)
            order += sorted(future.result() for future in done)
            rounds += 1
        return order, rounds

    assert asyncio.run(run()) == ([1, 2, 3], 3)


def test_one_that_is_done_already_is_returned_at_once():
    async def run() -> tuple[int, int]:
        never, done = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
        done.set_result(1)
        finished, left = await wait([never, done], return_when=asyncio.FIRST_COMPLETED)
        return len(finished), len(left)

    assert asyncio.run(run()) == (1, 1)


def test_a_failure_ends_the_waiting_though_others_never_complete():
    async def run() -> list[str]:
        never, broken = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, broken.set_exception, ValueError("no such type"))
        done, _ = await wait([never, broken], return_when=asyncio.FIRST_COMPLETED)
        return [str(future.exception()) for future in done]

    assert asyncio.run(run()) == ["no such type"]


def test_a_thousand_outstanding_get_one_callback_each(monkeypatch):
    async def run() -> int:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(1000)]
        for number, future in enumerate(futures):
            loop.call_later(number / 100_000, future.set_result, None)
        pending, left = set(futures), 0
        while pending:
            _, pending = await wait(pending, return_when=asyncio.FIRST_COMPLETED)
            left = max([left, *(len(future._callbacks or ()) for future in pending)])
        return left

    assert asyncio.run(run()) == 1


def test_all_completed_is_asyncios_own():
    async def run() -> int:
        done, _ = await wait([asyncio.ensure_future(asyncio.sleep(0)) for _ in range(3)])
        return len(done)

    assert asyncio.run(run()) == 3
