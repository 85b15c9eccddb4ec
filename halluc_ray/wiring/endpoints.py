"""From an endpoint's section to what asks it: the key from the environment, and what is no part of its outputs.

The only place that reads a key. Called by `systems`, and by running, which looks for the key before
anything is started.
"""

from __future__ import annotations

import os
import platform

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.endpoint.generator import EndpointGenerator

NOT_ASKED = (
    "url",
    "api_key_env",
    "concurrency",
    "requests_per_minute",
    "timeout_s",
    "retries",
    "price_input",
    "price_output",
    "max_cost",
)
"""Keys that say where and how a server is asked, not what."""


def read_key(system: EndpointSystem) -> str | None:
    """The key that the system's variable holds; None where it names none.

    Raises:
        SpecError: the variable is not set here, or holds what no header can.
    """
    name = system.api_key_env
    if name is None:
        return None
    where = f"systems[{system.name}].api_key_env: {name}"
    key = os.environ.get(name, "").strip()
    if not key:
        raise SpecError(
            f"{where} is not set on {platform.node()}; export it before Ray starts, on every node that may run an actor"
        )
    if not (key.isascii() and key.isprintable()):
        raise SpecError(f"{where} holds characters that no key has; set it again")
    return key


def open_endpoint(system: EndpointSystem) -> EndpointGenerator:
    """What asks the system's server; nothing is sent yet.

    Raises:
        SpecError: the key is not here, or the URL is malformed.
    """
    return EndpointGenerator(system, key=read_key(system))
