"""What requests cost, and whether one more may be sent.

Money is counted in millionths: a price is per million tokens, so tokens times price are millionths.
Before a request is sent, the most that it can cost is set aside, so that the cap holds whatever the
answers are. Knows no request. Caller: `generator`.
"""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import QuotaSpent

MICRO = 1_000_000
COST_NOTE = "cost_micro"
"""The commit's note of what its units cost, in millionths."""


class Purse:
    """The money of one system. Money that a failed try cost is unknown and not counted."""

    def __init__(self, system: EndpointSystem) -> None:
        self._system = system
        self._cap = None if system.max_cost is None else system.max_cost * MICRO
        self._spent = 0.0
        self._aside = 0.0
        self._in_flight = 0
        self._changed = asyncio.Condition()

    @property
    def capped(self) -> bool:
        """There is a limit."""
        return self._cap is not None

    def start(self, spent_micro: float) -> None:
        """Begin a shard: what the system has cost so far, by all that is kept of it."""
        self._spent, self._aside, self._in_flight = spent_micro, 0.0, 0
        self._changed = asyncio.Condition()

    def price(self, prompt_tokens: int, output_tokens: int) -> float:
        """Of so many tokens, in millionths."""
        return prompt_tokens * self._system.price_input + output_tokens * self._system.price_output

    def cost(self, units: pa.Table) -> float:
        """Of finished units, in millionths."""
        counts = (pc.sum(units.column(name)).as_py() or 0 for name in ("num_prompt_tokens", "num_output_tokens"))
        return self.price(*counts)

    async def reserve(self, most: float) -> None:
        """Set the most that a request can cost aside; waits for requests in flight to become cheaper than feared.

        Raises:
            QuotaSpent: the cap leaves no room.
        """
        if self._cap is None:
            return
        async with self._changed:
            while self._spent + self._aside + most > self._cap:
                if not self._in_flight:
                    raise QuotaSpent(
                        f"systems[{self._system.name}].max_cost: {self._system.max_cost:g}; {self._spent / MICRO:.6g} "
                        f"is spent, and the next request may cost {most / MICRO:.6g}; raise max_cost, and the same "
                        "command goes on"
                    )
                await self._changed.wait()
            self._aside += most
            self._in_flight += 1

    async def settle(self, most: float, spent: float) -> None:
        """A request that `most` was set aside for is over, and cost `spent`."""
        if self._cap is None:
            return
        async with self._changed:
            self._in_flight -= 1
            self._aside = self._aside - most if self._in_flight else 0.0  # sums of floats leave remainders
            self._spent += spent
            self._changed.notify_all()
