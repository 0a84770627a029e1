"""Work that the event loop hands to a thread comes back to it, in order, whatever became of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from joulebox.runtime.thread import ComputeThread


@pytest.fixture
def thread() -> Iterator[ComputeThread]:
    made = ComputeThread("test-compute")
    yield made
    made.close()


def alive() -> int:
    return sum(each.name == "test-compute" for each in threading.enumerate())


def fail() -> None:
    raise StopIteration("of the work")


def test_one_thread_does_all_of_it_in_order(thread: ComputeThread) -> None:
    async def scenario() -> None:
        assert not alive(), "none before there is work"
        done: list[int] = []
        results = [
            thread.submit(lambda number=number: (done.append(number), threading.get_ident())) for number in range(9)
        ]
        idents = {(await each)[1] for each in results}
        assert done == list(range(9))
        assert len(idents) == 1
        assert threading.get_ident() not in idents

    asyncio.run(scenario())


def test_an_exception_reaches_whoever_waits_and_the_thread_goes_on(thread: ComputeThread) -> None:
    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await thread.submit(fail)
        assert await thread.submit(lambda: 3) == 3

    asyncio.run(scenario())


def test_work_that_nobody_waits_for_any_more_is_done_all_the_same(thread: ComputeThread) -> None:
    async def scenario() -> None:
        begun = threading.Event()
        waits = thread.submit(lambda: begun.set() or time.sleep(0.05))
        await asyncio.to_thread(begun.wait, 5)
        waits.cancel()
        assert await thread.submit(lambda: "next") == "next"

    asyncio.run(scenario())


def test_it_ends_once_closed_with_what_it_was_handed_done() -> None:
    async def scenario() -> None:
        thread = ComputeThread("test-compute")
        result = thread.submit(lambda: time.sleep(0.05) or "done")
        thread.close()
        assert await result == "done"
        for _ in range(100):
            if not alive():
                return
            await asyncio.sleep(0.02)
        pytest.fail("the thread is still there")

    asyncio.run(scenario())


def test_it_ends_with_its_loop_and_keeps_no_result(thread: ComputeThread) -> None:
    async def scenario() -> None:
        thread.submit(lambda: time.sleep(0.1))

    asyncio.run(scenario())
    for _ in range(100):
        if not alive():
            return
        time.sleep(0.02)
    pytest.fail("the thread is still there")
