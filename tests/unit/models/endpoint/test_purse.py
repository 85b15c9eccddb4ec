"""Money set aside and given back, whatever the order in which requests end."""

import asyncio
import random

import pytest

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import QuotaSpent
from halluc_ray.models.endpoint.purse import Purse

SYSTEM = {"kind": "endpoint", "name": "e", "url": "http://localhost/v1", "model": "m", "as_of": "1"}
MONEY = {"max_cost": 0.01, "price_input": 0.15, "price_output": 0.6}


def test_the_cap_is_told_when_nothing_is_in_flight_however_prices_round():
    """Sums of prices leave remainders, such as 1e-13: who waited for these would wait for ever."""
    purse = Purse(EndpointSystem.model_validate(SYSTEM | MONEY | {"template": "{prompt}"}))

    async def requests_of_a_shard(noise: random.Random) -> None:
        purse.start(0.0)
        dearest = [purse.price(noise.randint(50, 900), noise.randint(1, 300)) for _ in range(6)]
        for most in dearest:
            await purse.reserve(most)
        for most in noise.sample(dearest, len(dearest)):
            await purse.settle(most, most)
        with pytest.raises(QuotaSpent, match="the next request may cost"):
            await asyncio.wait_for(purse.reserve(1e6), 1)

    async def shards() -> None:
        for seed in range(100):
            await requests_of_a_shard(random.Random(seed))

    asyncio.run(shards())
