"""Which error ends in which exit code."""

from __future__ import annotations

import signal

import pytest
import typer

from halluc_ray import errors
from halluc_ray.cli.exits import exit_code, exits, resumable


def every_error(cls: type[errors.HallucRayError] = errors.HallucRayError) -> set[type[errors.HallucRayError]]:
    return {cls}.union(*(every_error(sub) for sub in cls.__subclasses__()))


def test_every_error_has_a_documented_code():
    codes = {cls.__name__: exit_code(cls("x")) for cls in every_error() if cls.__module__ == "halluc_ray.errors"}
    assert codes.pop("ConservationError") == 1
    assert {name for name, code in codes.items() if code == 4} == {
        "EndpointUnavailable", "OutOfMemory", "QuotaSpent", "RunIncomplete", "StoreFull", "StoreUnavailable",
        "WorkerLost",
    }  # fmt: skip
    assert set(codes.values()) == {2, 4}


def test_an_error_is_a_message_and_a_code(capsys):
    with pytest.raises(typer.Exit) as stop, exits():
        raise errors.StoreUnavailable("s3://b did not answer")
    assert stop.value.exit_code == 4
    shown = capsys.readouterr()
    assert shown.err == "error: s3://b did not answer\nWhat was committed stays; the same command goes on.\n"
    assert shown.out == ""


def test_other_exceptions_pass():
    with pytest.raises(ZeroDivisionError), exits():
        raise ZeroDivisionError


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_incomplete_and_handlers_are_put_back(signum, hears_interrupts, capsys):
    before = signal.getsignal(signal.SIGTERM)

    def killed() -> None:
        with resumable():
            signal.raise_signal(signum)  # to this thread: another one that took it would leave us waiting
            pytest.fail("the signal was not heard")

    with pytest.raises(typer.Exit) as stop:
        killed()
    assert stop.value.exit_code == 4
    assert "the same command resumes" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
