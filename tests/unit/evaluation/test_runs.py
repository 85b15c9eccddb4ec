"""The files of a run when they are damaged, or of another version."""

import json

import pytest

from halluc_ray.errors import InputError, StoreError
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import keys
from halluc_ray.storage.local import LocalStore


@pytest.mark.parametrize("data", [b"", b'{"schema_version": 2', b"[]", json.dumps({"schema_version": 99}).encode()])
def test_a_record_that_can_not_be_read_is_named(tmp_path, data):
    run = RunFolder(LocalStore(tmp_path), "ab12")
    run.store.put(keys.run_key("ab12", "run.json"), data)
    with pytest.raises(InputError, match=r"runs/ab12/run.json is no record of a run that this version reads"):
        run.record()


@pytest.mark.parametrize("data", [b"", b"\xff", b'{"work": [', b"7"])
def test_a_damaged_note_is_named(tmp_path, data):
    run = RunFolder(LocalStore(tmp_path), "ab12")
    assert run.telemetry() == {}
    run.store.put(keys.run_key("ab12", "telemetry.json"), data)
    with pytest.raises(StoreError, match=r"runs/ab12/telemetry.json is damaged \(\w+\); delete it"):
        run.telemetry()
