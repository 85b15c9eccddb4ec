"""Measures one task on its actor: seconds by phase, inside the model and at the store, and memory.

Knows no stage and no row. Called by shard runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.engine.context import Measured
from halluc_ray.models.memory import peak_gpu_bytes


class Meter:
    """One task's measures.

    Attributes:
        seconds: wall time by phase.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._model_s = 0.0
        self._commit_s: list[float] = []
        self._tokens = (0, 0)
        self._splits = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase; the same one may come again."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    @contextmanager
    def model(self) -> Iterator[None]:
        """Time the model, within a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._model_s += time.perf_counter() - start

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Time a publication, within a phase; one that fails is not counted."""
        start = time.perf_counter()
        yield
        self._commit_s.append(time.perf_counter() - start)

    def split(self, times: int) -> None:
        """So many batches were halved because memory ran out."""
        self._splits += times

    def outputs(self, units: pa.Table) -> None:
        """Outputs that the task was to make, of schema GENERATIONS."""
        read, written = (pc.sum(units[name]).as_py() or 0 for name in ("num_prompt_tokens", "num_output_tokens"))
        self._tokens = (read, written)

    def measured(self) -> Measured:
        """All of it, for the driver."""
        return Measured(
            input_tokens=self._tokens[0],
            output_tokens=self._tokens[1],
            model_s=self._model_s,
            commit_s=tuple(self._commit_s),
            memory_splits=self._splits,
            gpu_memory_bytes=peak_gpu_bytes(),
        )
