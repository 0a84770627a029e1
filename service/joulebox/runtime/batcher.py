"""One model's queue and its batches. All of it lives on the event loop but the computing itself.

- First come, first served; what waits for more of its own shape does not hold up other shapes.
- Nothing polls: a batch starts when a request comes, when one ends, or when a delay has passed.
- A request whose client has gone or whose deadline has passed is dropped before it costs compute.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial

from joulebox.engine import EngineError, Tensors
from joulebox.runtime.batch import Computed, Inference, Outputs, Waiting, compute
from joulebox.runtime.errors import BadRequest, Expired, Overloaded
from joulebox.runtime.plan import Plan
from joulebox.runtime.thread import ComputeThread

INLINE_S = 1e-3  # computed on the event loop up to here: handing over to a thread costs about a tenth of it
ALONE_S = 20e-3  # and up to here where that keeps no other client waiting
INLINE_ITEMS_MAX = 1024
MARGIN = 1.5  # by how much the work ahead may exceed its estimate: a core may slow down by half while requests wait
LATE_S = 5e-3  # by which the event loop may be late
PACE, PACE_MAX = 0.1, 10.0  # one batch's weight in how much slower than planned batches are, and no slower than that

Shapes = tuple[tuple[int, ...], ...]


class Batcher:
    """A bounded queue in front of one engine, which computes one batch at a time."""

    def __init__(
        self,
        run: Callable[[Tensors], Outputs],
        plan: Plan,
        *,
        queue_size: int,
        began: Callable[[float], None],
        ended: Callable[[float, float, int, list[float]], None],
    ) -> None:
        """A batcher.

        Args:
            run: the engine.
            began: told the time at which a batch begins.
            ended: told when it began and ended, its items, and the seconds that each request had waited.
        """
        self._run, self._plan, self._queue_size = run, plan, queue_size
        self._began, self._ended = began, ended
        self._groups: dict[Shapes, dict[Waiting, None]] = {}
        self._computing: asyncio.Future[Computed] | None = None
        self._inline_items = {
            alone: _items_in(plan, limit_s) for alone, limit_s in ((False, INLINE_S), (True, ALONE_S))
        }
        self._delay_s = plan.delay_s
        self._pace = 1.0
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ComputeThread("joulebox-compute")
        self._items_waiting = self._items_computing = 0
        self.waiting = 0

    @property
    def idle(self) -> bool:
        """Whether a request would be computed at once: not where it is to wait longer than planned."""
        return self._computing is None and not self.waiting and self._delay_s <= self._plan.delay_s

    def wait_up_to(self, seconds: float) -> None:
        """Lets batches wait so long to become fuller where that is longer than planned; 0 is as planned."""
        delay_s = max(self._plan.delay_s, seconds) if self._plan.batch_max > 1 else self._plan.delay_s
        if delay_s != self._delay_s:
            self._delay_s = delay_s
            self._wake()

    def inline(self, *requests: Tensors, items: int, alone: bool = False) -> bool:
        """Whether these, of so many items together, are computed sooner than they are handed to a thread.

        Items larger than the measured one count with the square, which is what attention over a longer text costs.
        """
        limit_s = ALONE_S if alone else INLINE_S
        if items > self._inline_items[alone]:
            return False
        elements = sum([array.size for inputs in requests for array in inputs.values()])
        usual = items * self._plan.item_elements
        return elements <= usual or self._plan.seconds(items) * (elements / usual) ** 2 <= limit_s

    async def submit(self, inputs: Tensors, items: int, deadline_s: float) -> Inference:
        """Queues a request and waits for its turn and its result.

        Args:
            deadline_s: on the clock of `time.perf_counter`.

        Raises:
            Overloaded: the queue is full, or so long that the deadline would pass.
            Expired: the deadline passed.
            BadRequest: the engine refused the input.
        """
        now_s = time.perf_counter()
        self._admit(items, deadline_s - now_s)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Inference] = loop.create_future()
        waiting = Waiting(inputs, items, now_s, deadline_s, done, loop.call_later(deadline_s - now_s, _expire, done))
        shapes = tuple(array.shape[1:] for array in inputs.values()) if self._plan.batch_max > 1 else ()
        self._groups.setdefault(shapes, {})[waiting] = None
        self._count(waiting, 1)
        try:
            self._wake()
            return await done
        finally:
            waiting.expiry.cancel()
            self._drop(shapes, waiting)

    async def computed(self) -> None:
        """Waits for what is being computed, also where nobody waits for its result any more."""
        while self._computing is not None:
            await asyncio.wait([self._computing])

    def close(self) -> None:
        """Ends the thread; nothing may wait or be computed any more."""
        self._thread.close()

    def _admit(self, items: int, left_s: float) -> None:
        """Whether it is worth waiting for. Where nothing waits for the engine it always is: the estimate may be wrong, now or
        for good, and a batch that waits to become fuller takes this one in.
        """
        if left_s <= 0:
            raise Expired
        ahead = self._items_waiting + self._items_computing
        queued = self.waiting > 0 and self._computing is not None
        wait_s = self._pace * self._plan.seconds(ahead) if queued else 0.0
        retry_after_s = max(1, min(60, math.ceil(wait_s)))
        if self.waiting >= self._queue_size:
            raise Overloaded(f"{self.waiting} requests wait already, which is the limit", retry_after_s)
        if queued and MARGIN * (wait_s + self._pace * self._plan.seconds(items)) > left_s:
            raise Overloaded(
                f"{self.waiting} requests wait already, about {wait_s:.3g} s of work; the deadline is in {left_s:.3g} s",
                retry_after_s,
            )

    def _count(self, waiting: Waiting, sign: int) -> None:
        self.waiting += sign
        self._items_waiting += sign * waiting.items

    def _drop(self, shapes: Shapes, waiting: Waiting) -> None:
        """Forgets a request that still waits: its client has gone, or its deadline has passed."""
        group = self._groups.get(shapes)
        if group is not None and waiting in group:
            self._remove(shapes, group, waiting)

    def _remove(self, shapes: Shapes, group: dict[Waiting, None], waiting: Waiting) -> None:
        del group[waiting]
        self._count(waiting, -1)
        if not group:
            del self._groups[shapes]

    def _wake(self) -> None:
        """Starts the next batch, if there is one and the engine is free."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._computing is not None or not self.waiting:
            return
        shapes, due_s = self._next()
        now_s = time.perf_counter()
        if due_s > now_s:
            self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._wake)
        else:
            self._start(self._take(shapes))

    def _next(self) -> tuple[Shapes, float]:
        """The shape whose turn it is, and when its batch is due."""
        due_s, shapes = min((self._due_s(group), shapes) for shapes, group in self._groups.items())
        return shapes, due_s

    def _due_s(self, group: dict[Waiting, None]) -> float:
        """When a batch of these starts: at once where it cannot become fuller, and in time for each deadline in it."""
        arrived_s = next(iter(group)).arrived_s
        if not self._delay_s:
            return arrived_s
        items, deadline_s = 0, math.inf
        for waiting in group:
            items += waiting.items
            if items >= self._plan.batch_max:
                return arrived_s
            deadline_s = min(deadline_s, waiting.deadline_s)
        work_s = self._pace * self._plan.seconds(self._items_waiting)  # all of it may be computed before the answers
        return max(arrived_s, min(arrived_s + self._delay_s, deadline_s - MARGIN * work_s - LATE_S))

    def _take(self, shapes: Shapes) -> list[Waiting]:
        """The oldest of that shape, and what came after it as long as the batch has room."""
        group = self._groups[shapes]
        batch: list[Waiting] = []
        items = 0
        for waiting in list(group):
            if batch and items + waiting.items > self._plan.batch_max:
                break
            self._remove(shapes, group, waiting)
            if not waiting.done.done():
                batch.append(waiting)
                items += waiting.items
        return batch

    def _start(self, batch: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        if not batch:
            loop.call_soon(self._wake)
            return
        started_s = time.perf_counter()
        self._items_computing = sum(waiting.items for waiting in batch)
        self._began(started_s)
        try:
            self._computing = self._compute(batch)
        except RuntimeError as error:  # no thread can be started
            self._computing = loop.create_future()
            self._computing.set_result(([error] * len(batch), started_s, started_s))
        self._computing.add_done_callback(partial(self._finish, batch))

    def _compute(self, batch: list[Waiting]) -> asyncio.Future[Computed]:
        """Here or in the thread, whichever is sooner done."""
        items = sum(waiting.items for waiting in batch)
        if not self.inline(*(waiting.inputs for waiting in batch), items=items):
            return self._thread.submit(partial(compute, self._run, batch))
        future: asyncio.Future[Computed] = asyncio.get_running_loop().create_future()
        future.set_result(compute(self._run, batch))
        return future

    def _finish(self, batch: list[Waiting], future: asyncio.Future[Computed]) -> None:
        self._computing = None
        items, self._items_computing = self._items_computing, 0
        results, started_s, ended_s = future.result()
        try:
            self._ended(started_s, ended_s, items, [started_s - waiting.arrived_s for waiting in batch])
        finally:  # whatever becomes of the figures
            for waiting, result in zip(batch, results, strict=True):
                if waiting.done.done():
                    continue
                if isinstance(result, Exception):
                    waiting.done.set_exception(_refusal(result))
                else:
                    queue_s = started_s - waiting.arrived_s
                    waiting.done.set_result(Inference(result, queue_s, ended_s - started_s, waiting.items, items))
            slower = (ended_s - started_s) / self._plan.seconds(items)
            self._pace += PACE * (min(slower, PACE_MAX) - self._pace)
            self._wake()


def _items_in(plan: Plan, limit_s: float) -> int:
    """Most items that take no longer."""
    return max((items for items in range(1, INLINE_ITEMS_MAX) if plan.seconds(items) <= limit_s), default=0)


def _refusal(error: Exception) -> Exception:
    if isinstance(error, EngineError):
        return BadRequest(f"the engine refused the input: {error}")
    failure = RuntimeError("the engine failed")  # never as it is: a future takes no StopIteration
    failure.__cause__ = error
    return failure


def _expire(done: asyncio.Future[Inference]) -> None:
    if not done.done():
        done.set_exception(Expired())
