"""One model's queue: first come, first served; no request suffers for another one's shape, fault or absence."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.engine import EngineError
from joulebox.runtime.batch import Inference
from joulebox.runtime.batcher import ALONE_S, Batcher
from joulebox.runtime.errors import BadRequest, Expired, Overloaded
from joulebox.runtime.plan import Plan

BAD = -1.0  # a value that the engine refuses
HERE_S, THREAD_S = 1e-5, 2e-3  # of one item: computed on the event loop, and in the thread


@dataclass
class Fake:
    """Doubles its input, once the gate is open; says what it was given, and how many runs there were at once."""

    error: BaseException = field(default_factory=lambda: EngineError("out of range"))
    takes_s: float = 0.0
    batches: list[list[float]] = field(default_factory=list)
    most_at_once: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    _running: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            rows = inputs["x"]
            self.batches.append(rows.reshape(len(rows), -1)[:, 0].tolist())
            self.gate.wait(10)
            if self.takes_s:
                time.sleep(self.takes_s)
            if (rows == BAD).any():
                raise self.error
            return {"y": rows * 2}
        finally:
            self._running -= 1


@dataclass
class Noted:
    """What the batcher told of its batches."""

    began: list[float] = field(default_factory=list)
    ended: list[tuple[int, list[float]]] = field(default_factory=list)


def make(
    run: Callable[..., Any],
    *,
    batch_max: int = 4,
    delay_s: float = 0.0,
    item_s: float = THREAD_S,
    queue_size: int = 100,
) -> tuple[Batcher, Noted]:
    curve = tuple((size, size * item_s) for size in sorted({1, batch_max}))
    noted = Noted()
    batcher = Batcher(
        run,
        Plan(batch_max, delay_s, item_s, 2, curve),
        queue_size=queue_size,
        began=noted.began.append,
        ended=lambda _start, _end, items, waited: noted.ended.append((items, waited)),
    )
    return batcher, noted


def rows(*values: float, width: int = 2) -> dict[str, np.ndarray]:
    """Items of one request, each `width` times the same value."""
    return {"x": np.repeat(np.array(values, np.float32)[:, None], width, axis=1)}


def submit(batcher: Batcher, *values: float, width: int = 2, within_s: float = 10.0) -> asyncio.Task[Inference]:
    inputs = rows(*values, width=width)
    return asyncio.create_task(batcher.submit(inputs, len(values), time.perf_counter() + within_s))


def is_empty(batcher: Batcher) -> bool:
    return batcher.idle and not batcher._groups and batcher.waiting == batcher._items_waiting == 0


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  # what it waits for has no event
        await asyncio.sleep(0.001)


async def outcome(task: Awaitable[Inference]) -> Inference | BaseException:
    return (await asyncio.gather(task, return_exceptions=True))[0]


def busy_engine() -> Fake:
    """One that is computing until its gate is opened."""
    engine = Fake()
    engine.gate.clear()
    return engine


def test_requests_are_computed_in_the_order_they_came_and_joined_while_the_engine_is_busy() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, noted = make(engine.run, batch_max=4)
        first = submit(batcher, 1)
        await until(lambda: engine.batches == [[1]])
        others = [submit(batcher, value) for value in (2, 3, 4, 5, 6)]
        await until(lambda: batcher.waiting == 5)
        engine.gate.set()
        answers = await asyncio.gather(first, *others)
        assert engine.batches == [[1], [2, 3, 4, 5], [6]]
        assert [answer.outputs["y"].tolist() for answer in answers] == [[[2 * n, 2 * n]] for n in range(1, 7)]
        assert [answer.batch_items for answer in answers] == [1, 4, 4, 4, 4, 1]
        assert all(answer.queue_s >= 0 and answer.compute_s > 0 for answer in answers)
        assert [(items, len(waited)) for items, waited in noted.ended] == [(1, 1), (4, 4), (1, 1)]
        assert is_empty(batcher)

    play(scenario)


def test_a_batch_waits_for_more_no_longer_than_its_delay_and_starts_at_once_when_it_is_full() -> None:
    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=3, delay_s=0.2, item_s=HERE_S)
        begin_s = time.perf_counter()
        await asyncio.gather(*(submit(batcher, value) for value in (1, 2, 3)))
        assert time.perf_counter() - begin_s < 0.1
        partial = await asyncio.gather(submit(batcher, 4), submit(batcher, 5))
        assert 0.15 < partial[0].queue_s < 0.35
        assert engine.batches == [[1, 2, 3], [4, 5]]

    play(scenario)


@pytest.mark.parametrize("values", [(1, 2, 3, 4), (1, 2, 3, 4, 5)], ids=["full", "too large"])
def test_a_batch_is_full_by_its_items_not_by_its_requests(values: tuple[float, ...]) -> None:
    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=4, delay_s=5.0)
        await submit(batcher, *values)
        assert engine.batches == [list(values)]

    play(scenario)


def test_a_request_that_does_not_fit_begins_the_next_batch() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run, batch_max=4)
        tasks = [submit(batcher, *values) for values in ((0,), (1, 2, 3), (4, 5), (6, 7, 8, 9, 10), (11,))]
        await until(lambda: batcher.waiting == 4)
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert engine.batches == [[0], [1, 2, 3], [4, 5], [6, 7, 8, 9, 10], [11]]

    play(scenario)


def test_what_waits_for_more_of_its_shape_does_not_hold_up_another_shape() -> None:
    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=2, delay_s=0.1, item_s=HERE_S)
        lonely = submit(batcher, 1, width=3)
        await asyncio.sleep(0.01)
        pair = await asyncio.gather(submit(batcher, 2), submit(batcher, 3))
        assert all(answer.queue_s < 0.05 for answer in pair)
        assert not lonely.done()
        assert (await lonely).outputs["y"].shape == (1, 3)
        assert engine.batches == [[2, 3], [1]]

    play(scenario)


def test_full_batches_of_one_shape_do_not_starve_another_shape() -> None:
    async def scenario() -> None:
        batcher, _ = make(Fake(takes_s=0.001).run, batch_max=2, delay_s=0.01)

        async def insist() -> None:
            while True:
                await submit(batcher, 1)

        crowd = [asyncio.create_task(insist()) for _ in range(8)]
        await asyncio.sleep(0.02)
        rare = await submit(batcher, 2, width=3)
        assert rare.queue_s < 0.5, "its turn comes with its age"
        assert batcher.waiting
        for task in crowd:
            task.cancel()

    play(scenario)


def test_nothing_polls() -> None:
    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=2, delay_s=0.3)
        task = submit(batcher, 1)
        await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        assert sorted(handle.cancelled() for handle in loop._scheduled if "Batcher" in repr(handle)) == [False]  # type: ignore[attr-defined]
        assert len(loop._ready) == 0  # type: ignore[attr-defined]
        task.cancel()

    play(scenario)


def test_a_bad_request_fails_alone() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, noted = make(engine.run)
        tasks = [submit(batcher, value) for value in (0, 1, BAD, 3)]
        await until(lambda: batcher.waiting == 3)
        engine.gate.set()
        found = [await outcome(task) for task in tasks]
        assert isinstance(found[2], BadRequest)
        assert "out of range" in str(found[2])
        assert [one.outputs["y"][0, 0] for one in found if isinstance(one, Inference)] == [0, 2, 6]
        assert engine.batches == [[0], [1, BAD, 3], [1], [BAD], [3]]
        assert [items for items, _ in noted.ended] == [1, 3]

    play(scenario)


@pytest.mark.parametrize(
    "error", [ValueError("x"), MemoryError(), StopIteration(), StopAsyncIteration(), KeyError("x")]
)
@pytest.mark.parametrize("item_s", [HERE_S, THREAD_S])
def test_whatever_the_engine_raises_ends_that_request_and_no_other(error: Exception, item_s: float) -> None:
    async def scenario() -> None:
        batcher, _ = make(Fake(error=error).run, item_s=item_s)
        tasks = [submit(batcher, value) for value in (BAD, 1, BAD, 2)]
        found = [await outcome(task) for task in tasks]
        for one in (found[0], found[2]):
            assert isinstance(one, RuntimeError)
            assert one.__cause__ is error
        assert [one.outputs["y"][0, 0] for one in found if isinstance(one, Inference)] == [2, 4]
        assert is_empty(batcher)

    play(scenario)


@pytest.mark.parametrize("y", [np.zeros((1, 2)), np.array(3.0)], ids=["one row", "rank 0"])
def test_outputs_that_are_not_one_for_each_item_are_never_shared_out(y: np.ndarray) -> None:
    async def scenario() -> None:
        seen: list[int] = []

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            seen.append(len(inputs["x"]))
            return {"y": y if len(inputs["x"]) > 1 else inputs["x"]}

        batcher, _ = make(run, batch_max=3, delay_s=1.0)
        answers = await asyncio.gather(*(submit(batcher, value) for value in (1, 2, 3)))
        assert seen == [3, 1, 1, 1]
        assert [answer.outputs["y"][0, 0] for answer in answers] == [1, 2, 3]

    play(scenario)


def test_a_batch_that_cannot_be_put_together_is_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> Any:
        raise MemoryError

    async def scenario() -> None:
        monkeypatch.setattr("joulebox.runtime.batch.np.concatenate", full)
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=2, delay_s=1.0)
        await asyncio.gather(submit(batcher, 1), submit(batcher, 2))
        assert engine.batches == [[1], [2]]

    play(scenario)


def test_without_a_thread_to_be_had_requests_fail_and_the_next_ones_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no more threads")))
            assert isinstance(await outcome(submit(batcher, 1)), RuntimeError)
        assert is_empty(batcher)

    play(scenario)


def test_figures_that_cannot_be_noted_do_not_stop_the_queue() -> None:
    async def scenario() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=1)
        batcher._ended = lambda *_: 1 / 0  # type: ignore[assignment]
        answers = await asyncio.gather(submit(batcher, 1), submit(batcher, 2))
        assert [answer.outputs["y"][0, 0] for answer in answers] == [2, 4]
        assert len(told) == 2, "it is not silent"

    play(scenario)


def test_a_client_that_has_gone_costs_no_compute_and_leaves_nothing() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run)
        first, gone, last = submit(batcher, 1), submit(batcher, 2), submit(batcher, 3)
        await until(lambda: batcher.waiting == 2)
        gone.cancel()
        await until(lambda: batcher.waiting == 1)
        engine.gate.set()
        await asyncio.gather(first, last)
        assert gone.cancelled()
        assert engine.batches == [[1], [3]]
        assert is_empty(batcher)

    play(scenario)


def test_a_client_that_goes_while_it_is_computed_harms_nobody() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, noted = make(engine.run)
        gone, next_one = submit(batcher, 1), submit(batcher, 2)
        await until(lambda: engine.batches == [[1]])
        gone.cancel()
        await asyncio.sleep(0)
        assert not batcher.idle, "it computes still"
        engine.gate.set()
        await next_one
        await batcher.computed()
        assert [items for items, _ in noted.ended] == [1, 1], "and its time counts"

    play(scenario)


def test_who_left_while_a_batch_failed_is_not_computed_again() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run, batch_max=3, delay_s=5.0)
        bad, gone, stays = submit(batcher, BAD), submit(batcher, 2), submit(batcher, 3)
        await until(lambda: engine.batches == [[BAD, 2, 3]])
        gone.cancel()
        await asyncio.sleep(0)
        engine.gate.set()
        assert isinstance(await outcome(bad), BadRequest)
        assert (await stays).outputs["y"][0, 0] == 6
        assert engine.batches == [[BAD, 2, 3], [BAD], [3]]

    play(scenario)


def test_a_deadline_that_passes_in_the_queue_ends_it_then_without_compute() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run, item_s=2e-3)
        first = submit(batcher, 1)
        await until(lambda: engine.batches == [[1]])
        begin_s = time.perf_counter()
        late = submit(batcher, 2, within_s=0.05)
        assert isinstance(await outcome(late), Expired)
        assert 0.04 < time.perf_counter() - begin_s < 0.2, "at the deadline, not when the engine is free"
        assert batcher.waiting == 0
        engine.gate.set()
        await first
        assert engine.batches == [[1]]

    play(scenario)


def test_a_deadline_that_passes_during_compute_is_kept_too() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run)
        assert isinstance(await outcome(submit(batcher, 1, within_s=0.02)), Expired)
        assert isinstance(await outcome(submit(batcher, 2, within_s=0.0)), Expired)
        engine.gate.set()
        await batcher.computed()
        assert is_empty(batcher)

    play(scenario)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run, batch_max=1, item_s=2.0, queue_size=2)
        tasks = [submit(batcher, value, within_s=100) for value in (1, 2, 3)]
        await until(lambda: batcher.waiting == 2)
        begin_s = time.perf_counter()
        with pytest.raises(Overloaded, match="2 requests wait already, which is the limit") as caught:
            await batcher.submit(rows(4), 1, time.perf_counter() + 100)
        assert time.perf_counter() - begin_s < 0.01
        assert caught.value.retry_after_s == 6, "two wait, one is computed"
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert (await submit(batcher, 5)).outputs["y"][0, 0] == 10, "room again"

    play(scenario)


def test_what_would_miss_its_deadline_by_the_estimate_is_refused_while_others_wait() -> None:
    async def scenario() -> None:
        engine = busy_engine()
        batcher, _ = make(engine.run, batch_max=1, item_s=0.1)
        tasks = [submit(batcher, value) for value in (1, 2, 3)]
        await until(lambda: batcher.waiting == 2)
        with pytest.raises(Overloaded, match=r"about 0\.3 s of work; the deadline is in 0\.25"):
            await batcher.submit(rows(4), 1, time.perf_counter() + 0.25)
        tasks.append(submit(batcher, 5, within_s=1.0))
        await asyncio.sleep(0)
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario)


def test_an_estimate_that_was_wrong_from_the_start_shuts_nobody_out() -> None:
    async def scenario() -> None:
        batcher, _ = make(Fake().run, batch_max=1, item_s=60.0)
        assert (await submit(batcher, 1, within_s=1.0)).outputs["y"][0, 0] == 2
        for _ in range(80):
            await submit(batcher, 1, within_s=1.0)
        answers = await asyncio.gather(*(submit(batcher, value, within_s=1.0) for value in range(3)))
        assert len(answers) == 3, "it has learnt how long they take"

    play(scenario)


def test_a_longer_wait_makes_fuller_batches_and_is_taken_back_at_once() -> None:
    async def come(batcher: Batcher) -> None:
        tasks = []
        for value in range(6):
            tasks.append(submit(batcher, value))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)

    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=6, item_s=HERE_S)
        await come(batcher)
        assert engine.batches == [[0], [1], [2], [3], [4], [5]]
        batcher.wait_up_to(30.0)
        assert not batcher.idle, "a request is not computed at once now"
        await come(batcher)
        assert engine.batches[6:] == [[0, 1, 2, 3, 4, 5]]
        last = submit(batcher, 7, within_s=60.0)
        await until(lambda: batcher.waiting == 1)
        batcher.wait_up_to(0.0)
        assert (await last).outputs["y"][0, 0] == 14
        assert is_empty(batcher)

    play(scenario)


def test_a_model_whose_requests_are_not_joined_never_waits_longer() -> None:
    async def scenario() -> None:
        batcher, _ = make(Fake().run, batch_max=1)
        batcher.wait_up_to(30.0)
        assert batcher.idle
        await submit(batcher, 1)

    play(scenario)


def test_no_longer_wait_than_planned_is_taken() -> None:
    batcher, _ = make(Fake().run, batch_max=4, delay_s=0.2)
    batcher.wait_up_to(0.1)
    assert batcher.idle, "as planned"


def test_a_request_is_not_late_because_its_batch_could_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulebox.runtime.batcher.LATE_S", 0.3)  # a machine that tests share may be so late

    async def scenario() -> None:
        engine = Fake()
        batcher, _ = make(engine.run, batch_max=8)
        batcher.wait_up_to(60.0)
        old = submit(batcher, 1, within_s=60.0)
        await asyncio.sleep(0)
        hasty = submit(batcher, 2, within_s=0.5)
        other = submit(batcher, 3, within_s=60.0, width=3)
        answers = await asyncio.gather(old, hasty)
        assert [answer.outputs["y"][0, 0] for answer in answers] == [2, 4]
        assert engine.batches == [[1, 2]], "all of that shape with it, and no other"
        assert not other.done()
        other.cancel()

    play(scenario)


def test_what_waits_only_to_be_joined_shuts_nobody_out() -> None:
    async def scenario() -> None:
        batcher, _ = make(Fake().run, batch_max=2, item_s=0.1)
        batcher.wait_up_to(60.0)
        first = submit(batcher, 1, within_s=60.0)
        await until(lambda: batcher.waiting == 1)
        assert (await submit(batcher, 2, within_s=0.25)).batch_items == 2
        await first

    play(scenario)


@settings(max_examples=100, deadline=None)
@given(
    asked=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.floats(1.0, 100.0)), min_size=1, max_size=12),
    delay_s=st.sampled_from([0.0, 5.0]),
    wait_s=st.floats(1.0, 200.0),
)
def test_a_batch_that_waits_starts_in_time_for_each_deadline_in_it(
    asked: list[tuple[int, int, float]], delay_s: float, wait_s: float
) -> None:
    async def scenario() -> None:
        batcher, _ = make(Fake().run, batch_max=100, delay_s=delay_s, item_s=1e-3)
        batcher.wait_up_to(wait_s)
        tasks = [submit(batcher, *[1.0] * items, width=width, within_s=within_s) for items, width, within_s in asked]
        await asyncio.sleep(0)
        assert batcher.waiting == len(asked)
        work_s = 1e-3 * sum(items for items, _, _ in asked)  # of all shapes: the engine takes one at a time
        for group in batcher._groups.values():
            due_s = batcher._due_s(group)
            oldest = next(iter(group))
            assert oldest.arrived_s <= due_s <= oldest.arrived_s + max(delay_s, wait_s)
            assert all(due_s + work_s < waiting.deadline_s for waiting in group)
        assert batcher._next()[1] == min(batcher._due_s(group) for group in batcher._groups.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(scenario)


def test_items_larger_than_the_measured_one_are_not_computed_on_the_event_loop() -> None:
    batcher, _ = make(Fake().run, item_s=HERE_S)
    assert batcher.inline(rows(1), items=1)
    assert batcher.inline(rows(1, 2), rows(3, 4), items=4)
    assert not batcher.inline(rows(1, width=200), items=1)


def test_longer_work_is_computed_on_the_event_loop_only_where_that_keeps_nobody_waiting() -> None:
    batcher, _ = make(Fake().run, item_s=THREAD_S)
    assert not batcher.inline(rows(1), items=1)
    assert batcher.inline(rows(1), items=1, alone=True)
    most = int(ALONE_S / THREAD_S)
    assert batcher.inline(rows(*range(most)), items=most, alone=True)
    assert not batcher.inline(rows(*range(2 * most)), items=2 * most, alone=True)


@dataclass(frozen=True)
class Asked:
    """One request of a schedule."""

    items: int
    width: int
    bad: bool
    leaves_after: int | None
    """Turns of the event loop after which its client has gone."""
    patient: bool
    pause: int
    """Turns of the event loop before it comes."""


ASKED = st.builds(
    Asked,
    items=st.integers(1, 5),
    width=st.integers(1, 3),
    bad=st.sampled_from([False] * 5 + [True]),
    leaves_after=st.sampled_from([None] * 4 + [0, 1, 2, 5]),
    patient=st.sampled_from([True] * 6 + [False]),
    pause=st.sampled_from([0, 0, 0, 1, 3]),
)


async def follow(schedule: list[Asked], batcher: Batcher, wait_s: float) -> list[Inference | BaseException]:
    batcher.wait_up_to(wait_s)

    async def one(number: int, asked: Asked) -> Inference:
        values = [BAD if asked.bad else float(number)] * asked.items
        if asked.bad:
            values[0] = float(number)
        left_s = 5.0 if asked.patient else 2e-3
        return await batcher.submit(rows(*values, width=asked.width), asked.items, time.perf_counter() + left_s)

    tasks: list[asyncio.Task[Inference]] = []
    leaving: list[asyncio.Task[None]] = []

    async def leave(task: asyncio.Task[Inference], turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    for number, asked in enumerate(schedule):
        for _ in range(asked.pause):
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(one(number, asked)))
        if asked.leaves_after is not None:
            leaving.append(asyncio.create_task(leave(tasks[-1], asked.leaves_after)))
    found = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*leaving)
    await batcher.computed()
    batcher.wait_up_to(0.0)
    return found


@settings(max_examples=400, deadline=None)
@given(
    schedule=st.lists(ASKED, min_size=1, max_size=14),
    batch_max=st.integers(1, 6),
    delay_s=st.sampled_from([0.0, 0.0, 3e-4]),
    item_s=st.sampled_from([HERE_S, HERE_S, THREAD_S]),
    wait_s=st.sampled_from([0.0, 0.0, 1e-3]),
    queue_size=st.sampled_from([3, 100]),
)
def test_any_schedule_gives_each_request_its_own_result_or_one_error_in_order(
    schedule: list[Asked], batch_max: int, delay_s: float, item_s: float, wait_s: float, queue_size: int
) -> None:
    engine = Fake()
    batcher, noted = make(engine.run, batch_max=batch_max, delay_s=delay_s, item_s=item_s, queue_size=queue_size)
    found = asyncio.run(follow(schedule, batcher, wait_s))
    batcher.close()

    for number, (asked, one) in enumerate(zip(schedule, found, strict=True)):
        if isinstance(one, Inference):
            assert not asked.bad or asked.items == 1
            np.testing.assert_array_equal(one.outputs["y"], np.full((asked.items, asked.width), 2.0 * number))
        else:
            assert isinstance(one, (BadRequest, Expired, Overloaded, asyncio.CancelledError))
            assert asked.bad or not isinstance(one, BadRequest)
            assert asked.leaves_after is not None or not isinstance(one, asyncio.CancelledError)
            assert len(schedule) > queue_size or not asked.patient or not isinstance(one, (Expired, Overloaded))
    assert is_empty(batcher)
    assert engine.most_at_once <= 1
    assert len(noted.began) == len(noted.ended)
    for width in (1, 2, 3):
        came = [number for number, asked in enumerate(schedule) if asked.width == width]
        taken = [int(value) for batch in engine.batches for value in batch if value in came]
        assert list(dict.fromkeys(taken)) == sorted(set(taken)), "first come, first served"
    largest = [max(batch_max, asked.items) for asked in schedule]
    assert all(len(batch) <= max(largest) for batch in engine.batches)
