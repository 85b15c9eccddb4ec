"""The one tree of errors.

Each error says what was wrong, the value, where, and what to do about it. `retryable` tells the
ledger whether trying the same work again can help. Every class pickles: errors cross process
borders. This module knows nothing else of the package; everybody raises from it.
"""

from __future__ import annotations

from typing import ClassVar


class HallucRayError(Exception):
    """Base of every error that the package raises on purpose.

    Attributes:
        retryable: trying the same work again can help.
        resumable: what is committed stands, and the same command goes on later.
        logged: what a log says instead of the message, where that repeats what others said.
    """

    retryable: ClassVar[bool] = False
    resumable: ClassVar[bool] = False
    logged: str | None = None


class SpecError(HallucRayError):
    """The spec can't be run as written: an unknown key, a wrong type, a missing column."""


class InputError(HallucRayError):
    """The corpus, a checkpoint or a recorded run can't be read as what it should be."""


class BadRow(InputError):
    """A row can't be evaluated and `corpus.on_bad_row` is `stop`."""


class InputChanged(InputError):
    """A corpus file is no longer the file that was planned."""


class StoreError(HallucRayError):
    """The object store refused, or lacks what the commit protocol needs."""


class StoreUnavailable(StoreError):
    """The object store did not answer, or answered that it is busy."""

    retryable = True


class StoreFull(StoreError):
    """The object store has no room left: what is committed stands, and the same command goes on when there is."""

    resumable = True


class ObjectMissing(StoreError):
    """A key that was asked for is not in the store."""


class ObjectChanged(StoreError):
    """An object is no longer the version that the reader named."""


class ModelError(HallucRayError):
    """A model can't be loaded, or can't run what it was given."""


class NumericsMismatch(HallucRayError):
    """An actor's machine can't produce the bytes that the plan promises."""


class VersionMismatch(HallucRayError):
    """Driver and cluster, or driver and actor, run other versions of Python, Ray or this package."""


class ConservationError(HallucRayError):
    """Counts do not add up. Never a report."""


class WorkerLost(HallucRayError):
    """An actor, or the node under it, went away."""

    retryable = True


class RunIncomplete(HallucRayError):
    """Shards are missing, so there is no report yet; the same command goes on."""

    resumable = True


class OutOfMemory(ModelError):
    """A batch did not fit on the device; a smaller token budget may."""

    retryable = True


class EndpointUnavailable(HallucRayError):
    """A model server did not answer, or answered that it is busy, for as long as was allowed."""

    retryable = True


class QuotaSpent(RunIncomplete):
    """The money that a system may cost, or what its server lets one use, is spent."""
