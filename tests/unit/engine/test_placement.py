"""Which device `auto` means, and how many actors a cluster holds."""

from pathlib import Path

import pytest
import ray

from halluc_ray.config import RunSpec
from halluc_ray.engine.placement import GROWING_SLOTS, Placement, place
from halluc_ray.errors import SpecError

HEAD = "node:__internal_head__"


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Place a run on a cluster whose nodes report the given resources."""
    for name in ("RAY_ADDRESS", "RAY_CLUSTER_NAME", "KUBERAY_GEN_RAY_START_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def with_nodes(*nodes: dict[str, float], models: bool = True, address: bool = True, **engine: object) -> Placement:
        if address:
            monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
        fields = {
            "corpus": {"uri": "c"},
            "systems": [{"kind": "recorded", "name": "a"}],
            "indicators": [{"kind": "label_mismatch"}],
            "engine": engine,
        }
        return place(RunSpec.model_validate(fields), models=models)

    return with_nodes


def test_gpus_are_used_where_there_are_any(placed) -> None:
    found = placed({"CPU": 8, HEAD: 1}, {"CPU": 16, "GPU": 4, "accelerator_type:H100": 1})
    assert (found.device, found.accelerator, found.slots) == ("cuda", "H100", 4)
    assert found.options == {"num_cpus": 1, "num_gpus": 1}


def test_half_a_gpu_each(placed) -> None:
    found = placed({"CPU": 8, "GPU": 2, "accelerator_type:L4": 1, HEAD: 1}, gpus_per_actor=0.5)
    assert (found.slots, found.options["num_gpus"]) == (4, 0.5)


def test_several_gpus_are_counted_node_by_node(placed) -> None:
    four, three = {"CPU": 8, "GPU": 4, "accelerator_type:L4": 1}, {"CPU": 8, "GPU": 3, "accelerator_type:L4": 1}
    found = placed({HEAD: 1, "CPU": 1}, four, three, {**four, "GPU": 9}, gpus_per_actor=4)
    assert (found.device, found.slots, found.options) == ("cuda", 3, {"num_cpus": 1, "num_gpus": 4})
    with pytest.raises(
        SpecError, match=r"asks for \{'CPU': 1\.0, 'GPU': 4\.0\}.*offer.*lower cpus_per_actor or gpus_per"
    ):
        placed(three, three, gpus_per_actor=4)


def test_a_cluster_of_one_node_without_gpu_is_a_cpu_cluster(placed) -> None:
    found = placed({"CPU": 8, HEAD: 1}, cpus_per_actor=3)
    assert (found.device, found.slots, found.options) == ("cpu", 2, {"num_cpus": 3})


@pytest.mark.parametrize("sign", ["RAY_CLUSTER_NAME", "KUBERAY_GEN_RAY_START_CMD"])
def test_a_head_whose_workers_start_from_zero_tells_nothing(placed, monkeypatch: pytest.MonkeyPatch, sign: str) -> None:
    monkeypatch.setenv(sign, "x")
    with pytest.raises(SpecError, match=r"engine\.device: auto.*set engine\.device, and engine\.accelerator"):
        placed({"CPU": 8, HEAD: 1}, {"CPU": 8})
    assert placed({"CPU": 8, HEAD: 1}, device="cuda", accelerator="H100").options == {
        "num_cpus": 1,
        "num_gpus": 1,
        "accelerator_type": "H100",
    }


def test_a_head_that_holds_no_actors_tells_nothing(placed) -> None:
    with pytest.raises(SpecError, match=r"set engine\.device"):
        placed({"CPU": 0, HEAD: 1})


def test_recorded_answers_need_no_device(placed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_CLUSTER_NAME", "x")
    assert placed({"CPU": 8, "GPU": 8, HEAD: 1}, models=False).options == {"num_cpus": 1}


def test_two_kinds_of_gpu_must_be_chosen_from(placed) -> None:
    nodes = ({"CPU": 8, "GPU": 1, "accelerator_type:L4": 1}, {"CPU": 8, "GPU": 1, "accelerator_type:H100": 1})
    with pytest.raises(SpecError, match=r"engine\.accelerator.*H100, L4"):
        placed(*nodes)


def test_an_actor_that_fits_nowhere_on_this_machine_is_refused(placed) -> None:
    with pytest.raises(SpecError, match=r"asks for \{'CPU': 9\.0\}.*offer.*8"):
        placed({"CPU": 8, HEAD: 1}, address=False, cpus_per_actor=9)


def test_a_cluster_without_room_is_refused_unless_it_may_grow(placed, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"CPU": 2, HEAD: 1}
    with pytest.raises(SpecError, match=r"the nodes offer"):
        placed(small, device="cpu", cpus_per_actor=4)
    monkeypatch.setenv("RAY_CLUSTER_NAME", "x")
    assert placed(small, device="cpu", cpus_per_actor=4).slots == GROWING_SLOTS


def test_cpu_runs_take_gpus_only_when_told(placed) -> None:
    node = {"CPU": 8, "GPU": 2, HEAD: 1}
    assert "num_gpus" not in placed(node, device="cpu").options
    assert placed(node, device="cpu", gpus_per_actor=1).slots == 2


def test_what_an_actor_is_billed_for():
    def billed(accelerator: str | None, **options: float) -> tuple[str, float]:
        return Placement("cpu", accelerator, 1, {"num_cpus": 2, **options}).billed

    assert billed("H100", num_gpus=0.5) == ("H100", 0.5)
    assert billed(None, num_gpus=4) == ("gpu", 4.0)
    assert billed(None) == ("cpu", 2.0)
    assert billed(None, num_gpus=0) == ("cpu", 2.0)
