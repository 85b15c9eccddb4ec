"""Object store, Ray, exporter and Prometheus of one machine: started together, found again, ended together.

Knows what each part needs of the others. Any number of these live beside each other, one to a folder.
Called by `__main__` and by tests.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from infra.object_store.server import ObjectServer, free_ports
from infra.up import processes, prometheus
from infra.up.head import RayHead
from infra.up.state import (
    State,
    make_folder,
    make_ray_folder,
    read_state,
    without_foreign,
    write_environment,
    write_state,
)

_ANSWER_S = 30.0
_GRACE_S = 20.0
_LOCK_S = 120.0
_EXPORTER_EVERY_S = 5


@dataclass(slots=True)
class Machine:
    """One folder and what runs for it.

    Attributes:
        folder: absolute; `state` says what lies in it.
    """

    folder: Path

    def up(self) -> tuple[State, bool]:
        """Start what is not there; whole or not at all.

        Returns:
            What was written down, and whether anything was started.

        Raises:
            RuntimeError: a part did not come up; what was started is ended.
        """
        make_folder(self.folder)
        with self._alone():
            before = read_state(self.folder)
            if before is not None and before.complete and all(map(processes.find, before.parts)):
                return before, False
            self._end(before)
            kept = State() if before is None else State(admin=before.admin, reader=before.reader)
            try:
                return self._start(write_state(self.folder, kept)), True
            except BaseException:
                self._end(read_state(self.folder))
                raise

    def down(self) -> bool:
        """End what runs, also what a start that was cut short left; data and logs stay.

        Returns:
            Whether anything ran.
        """
        if not self.folder.is_dir():
            return False
        with self._alone():
            return self._end(read_state(self.folder))

    def parts(self) -> dict[str, int | None]:
        """Process id by part; None where it is gone."""
        state = read_state(self.folder)
        found = {part.name: processes.find(part) for part in (state.parts if state else ())}
        return {name: process.pid if process else None for name, process in found.items()}

    def _start(self, state: State) -> State:
        state = make_ray_folder(self.folder, state)
        store_port, exporter_port, watch_port = free_ports(3)
        server = ObjectServer(self.folder / "store", store_port, admin=state.admin, reader=state.reader)
        output, url = f"s3://{server.bucket}/out", f"http://127.0.0.1:{watch_port}"
        watched = shutil.which("prometheus") is not None
        settings = server.environment | {"AWS_ENDPOINT_URL": server.endpoint}
        paths = {"PATH": f"{_programs()}{os.pathsep}{os.environ['PATH']}"}
        with _environment(settings | paths, mark=self.folder):
            head = RayHead(Path(state.ray_folder), None, None, dashboard_wanted=True, mark=self.folder)
            head.settings = {"RAY_PROMETHEUS_HOST": url} if watched else {}
            head.launch()
            state = self._note(state, "ray", head.pid)
            server.start()
            state = self._note(state, "store", server.pid)
            command = [sys.executable, "-m", "halluc_ray.cli.app", "exporter", output]
            command += [f"--port={exporter_port}", f"--every={_EXPORTER_EVERY_S}"]
            state = self._launch(state, "exporter", command)
            if watched:
                state = self._watch(state, head, exporter_port=exporter_port, port=watch_port)
            head.wait()
        shown = settings | head.environment | {"RAY_API_SERVER_ADDRESS": head.dashboard, "OUTPUT": output}
        shown["EXPORTER_URL"] = f"http://127.0.0.1:{exporter_port}/metrics"
        self._await("exporter", shown["EXPORTER_URL"])
        if watched:
            shown["PROMETHEUS_URL"] = url
            self._await("prometheus", f"{url}/-/ready")
        write_environment(self.folder, shown, programs=_programs())
        notes = () if watched else ("prometheus is not installed: no alerts (Debian: apt-get install prometheus)",)
        return write_state(self.folder, replace(state, shown=shown, notes=notes, complete=True))

    def _watch(self, state: State, head: RayHead, *, exporter_port: int, port: int) -> State:
        folder = self.folder / "prometheus"
        folder.mkdir(exist_ok=True)
        text = prometheus.configuration(discovery_path=head.discovery_path, exporter=f"127.0.0.1:{exporter_port}")
        (folder / "prometheus.yml").write_text(text)
        return self._launch(state, "prometheus", prometheus.command(folder, port=port))

    def _launch(self, state: State, name: str, command: list[str]) -> State:
        log_path = self.folder / f"{name}.log"
        process = processes.launch(command, log_path=log_path, environment=os.environ, mark=self.folder)
        return self._note(state, name, process.pid)

    def _note(self, state: State, name: str, pid: int) -> State:
        return write_state(self.folder, replace(state, parts=(*state.parts, processes.part_of(name, pid))))

    def _await(self, name: str, url: str) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310 - http on 127.0.0.1
                return
            time.sleep(0.1)
        log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{name} did not answer at {url} within {_ANSWER_S:.0f} s; its log ends:\n{log}")

    def _end(self, state: State | None) -> bool:
        """End the store last: what is being committed can still be."""
        found = {part.name: process for part in (state.parts if state else ()) if (process := processes.find(part))}
        store = found.pop("store", None)
        processes.end(found.values(), grace_s=_GRACE_S)
        left = [process for process in processes.marked(self.folder) if process != store]
        processes.end(left, grace_s=_GRACE_S)
        processes.end([store] if store else [], grace_s=_GRACE_S)
        if state is not None:
            if state.ray_folder:
                shutil.rmtree(state.ray_folder, ignore_errors=True)
            write_state(self.folder, State(admin=state.admin, reader=state.reader))
        for name in ("env", "ray"):
            (self.folder / name).unlink(missing_ok=True)
        return bool(found or left or store)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=_LOCK_S)
        except Timeout:
            raise RuntimeError(
                f"another up or down holds {self.folder / 'lock'} since {_LOCK_S:.0f} s; wait for it or end it"
            ) from None
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _environment(settings: dict[str, str], *, mark: Path) -> Iterator[None]:
    """The environment of this process while it starts parts, which inherit it."""
    before = dict(os.environ)
    try:
        kept = without_foreign(before)
        os.environ.clear()
        os.environ.update(kept | settings | {processes.MARK: str(mark)})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _programs() -> Path:
    return Path(sys.executable).parent
