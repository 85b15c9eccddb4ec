"""`python -m infra.up up|down|status [FOLDER]`, which `make up` and `make down` run."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from infra.up.machine import Machine
from infra.up.state import State, read_state

_NIGHT = "ray job submit --working-dir . -- python -m jobs.nightly examples/nightly.yaml --set output=$OUTPUT --date"


def main() -> int:
    """Do what was asked; 0 where it holds, 1 where a part is not up, 2 where it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m infra.up", description="A whole benchmark on this machine.")
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path(".up"), help="state, logs and data")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    machine = Machine(options.folder.absolute())
    try:
        return {"up": _up, "down": _down, "status": _status}[options.command](machine)
    except RuntimeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what was started is ended\n")
        return 2


def _up(machine: Machine) -> int:
    state, started = machine.up()
    _say("up" if started else "up already", f"state, logs and data in {machine.folder}", *state.notes)
    _tell(machine, state)
    return 0


def _down(machine: Machine) -> int:
    ran = machine.down()
    _say(f"down; what was stored stays in {machine.folder}" if ran else "nothing ran")
    return 0


def _status(machine: Machine) -> int:
    state = read_state(machine.folder)
    parts = machine.parts()
    for name, pid in parts.items():
        _say(f"{name:<11}{'gone' if pid is None else f'up, process {pid}'}")
    whole = state is not None and state.complete and None not in parts.values()
    _say("up" if whole else "not up; make up starts it")
    return 0 if whole else 1


def _tell(machine: Machine, state: State) -> None:
    shown = state.shown
    rows = {
        "object store": shown["AWS_ENDPOINT_URL"],
        "output": shown["OUTPUT"],
        "Ray": f"{shown['RAY_ADDRESS']}, dashboard {shown['RAY_API_SERVER_ADDRESS']}",
        "exporter": shown["EXPORTER_URL"],
        "Prometheus": shown.get("PROMETHEUS_URL", "-"),
    }
    _say(*(f"  {name:<13}{value}" for name, value in rows.items()), "")
    _say(
        "Two nights, the second of a worse model:",
        f"  . {shlex.quote(str(machine.folder / 'env'))}",
        "  python examples/prepare_nightly.py $OUTPUT",
        f"  {_NIGHT} 2026-11-23",
        f"  {_NIGHT} 2026-11-24",
        "  halluc-ray site examples/nightly.yaml --set output=$OUTPUT --out out   # open out/site/sums/index.html",
    )


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
