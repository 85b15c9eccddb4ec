"""Answers of a shard's samples from an endpoint, so many requests at a time, nothing paid twice.

Each draw is a request of its own. Answers are handed to `Kept` every few seconds and when the shard
has to stop, so that another try asks only for what is missing. Knows one system; no store. Called by
wiring (to make it) and shard runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.endpoint.client import Client
from halluc_ray.models.endpoint.outputs import Unit, unit_of
from halluc_ray.models.endpoint.pace import Halted
from halluc_ray.models.endpoint.purse import COST_NOTE, Purse
from halluc_ray.models.endpoint.replies import Answer
from halluc_ray.models.execution import Failure, Generated, units_table
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample

KEEP_EVERY_S = 5.0
KEEP_FACTOR = 20.0
"""Keeping takes at most the 20th part of the time, however many answers a shard has."""
_ANOTHER_TRY_MAY_HELP = frozenset({"server_error", "timeout", "malformed_reply"})

Place = tuple[int, int]


class Kept(Protocol):
    """Where finished answers of one shard are kept until the shard is committed."""

    def recall(self) -> pa.Table:
        """Units that an earlier try kept, of schema GENERATIONS."""

    def keep(self, units: pa.Table) -> None:
        """Keep these, in place of those kept before."""

    def spent(self, cost: Callable[[pa.Table], float]) -> float:
        """What the system has cost so far, in millionths: what is committed, and what is kept."""


class EndpointGenerator:
    """Turns samples into a generate part by asking a server."""

    def __init__(self, system: EndpointSystem, *, key: str | None) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            SpecError: the template or the URL is malformed.
        """
        self._system = system
        self._client = Client(system, key=key)
        self._purse = Purse(system)
        self._loop = asyncio.Runner()
        self._answered_ever = False

    def generate(self, samples: Sequence[Sample], failures: Sequence[Failure], *, kept: Kept) -> Generated:
        """Answers of the samples beside the failed rows, and what they cost.

        Raises:
            EndpointUnavailable: the server is away (retryable); finished answers are kept.
            QuotaSpent: the cap, or the key's quota, is reached; finished answers are kept.
            SpecError: the server refuses whatever is asked.
        """
        return self._loop.run(self._generate(samples, failures, kept))

    def close(self) -> None:
        """End the connections."""
        self._loop.run(self._client.close())
        self._loop.close()

    async def _generate(self, samples: Sequence[Sample], failures: Sequence[Failure], kept: Kept) -> Generated:
        draws = range(self._system.decoding.samples)
        units: dict[Place, Unit] = {
            (failure.row, draw): self._unit(failure, draw, Answer(failure=failure.reason))
            for failure in failures
            for draw in draws
        }
        units |= {(unit["row"], unit["draw"]): unit for unit in kept.recall().to_pylist()}
        todo = [(sample, draw) for sample in samples for draw in draws if (sample.row, draw) not in units]
        self._client.pace.start()
        self._purse.start(kept.spent(self._purse.cost) if self._purse.capped else 0.0)
        await self._answer(todo, units, kept)
        table = units_table(list(units.values()))
        cost = round(self._purse.cost(table))
        return Generated(table, {COST_NOTE: cost} if cost else {})

    async def _answer(self, todo: Sequence[tuple[Sample, int]], units: dict[Place, Unit], kept: Kept) -> None:
        """Answer all that is to do, or keep what was answered and say why no more can be."""
        waiting = iter(todo)
        ended: list[Exception] = []
        keeper = _Keeper(kept, units)

        async def work() -> None:
            try:
                for sample, draw in waiting:
                    units[sample.row, draw] = await self._ask(sample, draw)
                    keeper.keep_now_and_then()
            except Halted:
                return
            except Exception as error:  # noqa: BLE001 - raised below, once what is in flight has ended
                ended.append(error)
                self._client.pace.halt()

        await asyncio.gather(*(work() for _ in range(min(self._system.concurrency, len(todo)))))
        if ended:
            keeper.keep()
            raise ended[0]
        if not self._answered_ever and _all_refused(units.values()):
            await self._client.check()

    async def _ask(self, sample: Sample, draw: int) -> Unit:
        try:
            most = self._purse.price(self._client.request_bytes(sample, draw), self._system.decoding.max_new_tokens)
        except UnusableRow as error:
            return self._unit(sample, draw, Answer(failure=error.reason))
        await self._purse.reserve(most)
        spent = 0.0
        try:
            answer = await self._client.ask(sample, draw)
            spent = self._purse.price(answer.num_prompt_tokens or 0, answer.num_output_tokens or 0)
        finally:
            await self._purse.settle(most, spent)
        if self._purse.capped and answer.failure is None and not _states_usage(answer):
            raise SpecError(
                f"systems[{self._system.name}].max_cost: {self._system.max_cost:g} can't be held: {self._system.url} "
                "states no usage; remove max_cost"
            )
        self._answered_ever |= answer.failure is None
        return self._unit(sample, draw, answer, opened=self._client.opens_trace(sample))

    def _unit(self, row: Sample | Failure, draw: int, answer: Answer, *, opened: bool = False) -> Unit:
        return unit_of(row.row, draw, row.id, answer, reasoning=self._system.reasoning, opened=opened)


class _Keeper:
    """Keeps a shard's answers so often that little is lost, and so seldom that keeping takes little time."""

    def __init__(self, kept: Kept, units: Mapping[Place, Unit]) -> None:
        self._kept = kept
        self._units = units
        self._next = time.monotonic() + KEEP_EVERY_S

    def keep_now_and_then(self) -> None:
        if time.monotonic() > self._next:
            self.keep()

    def keep(self) -> None:
        began = time.monotonic()
        self._kept.keep(units_table([unit for unit in self._units.values() if _is_settled(unit)]))
        ended = time.monotonic()
        self._next = ended + max(KEEP_EVERY_S, KEEP_FACTOR * (ended - began))


def _is_settled(unit: Unit) -> bool:
    return unit["failure"] not in _ANOTHER_TRY_MAY_HELP


def _states_usage(answer: Answer) -> bool:
    """Whether the counts can be what was used: no prompt, and no text, is of no token."""
    least = 1 if answer.text else 0
    return bool(answer.num_prompt_tokens) and answer.num_output_tokens is not None and answer.num_output_tokens >= least


def _all_refused(units: Collection[Unit]) -> bool:
    reasons = {unit["failure"] for unit in units}
    return "refused_request" in reasons and None not in reasons
