"""The `ray up` files: accepted by Ray, of one version and token; what its autoscaler makes of spot and on-demand."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml

from tests.kubernetes import cluster_spec, one, overlay

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "cluster" / "ray"
FILES = ("aws.yaml", "on_premises.yaml")


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


# What `ray up` does to a file before it starts machines, and which nodes its autoscaler (v2) starts for so many actors
# of one GPU: with all well, after EC2 refused the preferred type, and after a pod of it found no machine in time.
AUTOSCALER = """
import json, sys
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import CloudResourceMonitor
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.instance_manager_pb2 import Instance, InstanceUpdateEvent

def started(config, actors, preferred, status=None):
    monitor = CloudResourceMonitor()
    if status is not None:
        event = InstanceUpdateEvent(instance_id="1", instance_type=preferred, new_instance_status=status)
        monitor.notify([event])
    asked = [ResourceRequestUtil.make({"CPU": 1, "GPU": 1, "accelerator_type:L4": 0.001})] * actors
    reply = ResourceDemandScheduler(None).schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=config.get_node_type_configs(),
            max_num_nodes=config.get_max_num_nodes(),
            resource_requests=ResourceRequestUtil.group_by_count(asked),
            cloud_resource_availabilities=monitor.get_resource_availabilities(),
            recoverable_resource_availabilities=monitor.get_recoverable_resource_availabilities(),
        )
    )
    return {launch.instance_type: launch.count for launch in reply.to_launch}

def autoscaled(given, actors, preferred):
    if "headGroupSpec" in given:
        given = _derive_autoscaling_config_from_ray_cr({"metadata": {"name": "c", "namespace": "n"}, "spec": given})
    try:
        accepted = prepare_config(given)
        validate_config(accepted)
    except Exception as refused:
        return {"refusal": str(refused)}
    config = AutoscalingConfig(given, skip_content_hash=True)
    return {
        "types": accepted["available_node_types"],
        "well": started(config, actors, preferred),
        "refused": started(config, actors, preferred, Instance.ALLOCATION_FAILED),
        "late": started(config, actors, preferred, Instance.ALLOCATION_TIMEOUT),
    }

print(json.dumps({name: autoscaled(*case) for name, case in json.load(sys.stdin).items()}))
"""


@pytest.fixture(scope="module")
def autoscaled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Ray's autoscaler makes of each case; Ray is loaded in one process of its own."""
    key = tmp_path_factory.mktemp("ssh") / "id_ed25519"
    key.write_text("a key\n")
    dry, unknown, premises = load("aws.yaml"), {**load("aws.yaml"), "gpus_per_node": 1}, load("on_premises.yaml")
    dry["available_node_types"]["gpu_spot"]["max_workers"] = 0
    premises["auth"]["ssh_private_key"] = str(key)
    cases = {
        "aws": (load("aws.yaml"), 3, "gpu_spot"),
        "aws, many": (load("aws.yaml"), 8, "gpu_spot"),
        "aws, no spot": (dry, 3, "gpu_spot"),
        "aws, unknown key": (unknown, 3, "gpu_spot"),
        "on premises": (premises, 2, ""),
        "kubernetes": (cluster_spec(one(overlay("prod"), "RayJob")), 3, "gpu-spot"),
    }
    done = subprocess.run(
        [sys.executable, "-c", AUTOSCALER],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_on_aws_spot_comes_first_and_is_not_replaced_where_ec2_refuses_it(autoscaled: Any) -> None:
    found = autoscaled["aws"]
    assert found["types"]["head"]["resources"] == {"CPU": 0}
    assert {name: kind["resources"]["GPU"] for name, kind in found["types"].items() if name != "head"} == {
        "gpu_on_demand": 1,
        "gpu_spot": 1,
    }
    assert found["well"] == found["refused"] == {"gpu_spot": 3}


def test_on_aws_what_is_beyond_spots_maximum_is_on_demand(autoscaled: Any) -> None:
    assert autoscaled["aws, many"]["well"] == {"gpu_spot": 6, "gpu_on_demand": 2}
    assert autoscaled["aws, no spot"]["well"] == {"gpu_on_demand": 3}


def test_on_kubernetes_on_demand_follows_where_spot_finds_no_machine(autoscaled: Any) -> None:
    found = autoscaled["kubernetes"]
    assert found["types"]["headgroup"]["resources"]["CPU"] == 0
    assert "GPU" not in found["types"]["headgroup"]["resources"]
    for name, most in (("gpu-spot", 8), ("gpu-on-demand", 4)):
        worker = found["types"][name]
        assert (worker["min_workers"], worker["max_workers"]) == (0, most)
        assert {key: worker["resources"][key] for key in ("CPU", "GPU", "accelerator_type:L4")} == {
            "CPU": 6,
            "GPU": 1,
            "accelerator_type:L4": 1,
        }
    assert (found["well"], found["late"]) == ({"gpu-spot": 3}, {"gpu-on-demand": 3})


def test_on_premises_all_workers_are_kept(autoscaled: Any) -> None:
    (worker,) = autoscaled["on premises"]["types"].values()
    assert worker["min_workers"] == worker["max_workers"] == len(load("on_premises.yaml")["provider"]["worker_ips"])


def test_a_key_that_ray_does_not_know_is_refused(autoscaled: Any) -> None:
    assert "gpus_per_node" in autoscaled["aws, unknown key"]["refusal"]


@pytest.mark.parametrize("name", FILES)
def test_file_fits_rays_schema(name: str) -> None:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(load(name))


def test_images_have_the_installed_ray_and_this_python() -> None:
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    docker = load("aws.yaml")["docker"]
    assert {docker["head_image"].rsplit("-", 1)[0], docker["worker_image"].rsplit("-", 1)[0]} == {
        f"rayproject/ray:{metadata.version('ray')}-{python}"
    }
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert pinned["ray"] == metadata.version("ray")


@pytest.mark.parametrize("name", FILES)
def test_every_node_is_set_up_from_the_pinned_versions_and_starts_with_the_token(name: str) -> None:
    config = load(name)
    (setup,) = config["setup_commands"]
    mount, script, environment = re.fullmatch(r"PYTHON=\S+ bash (/home/ray/halluc-ray)/(\S+) (\S+)", setup).groups()
    assert config["file_mounts"][mount] == "."
    assert (ROOT / script).is_file()
    assert config["file_mounts"]["/home/ray/.ray/auth_token"]
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all(f". {environment}/bin/activate && " in command for command in commands)
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in start and "--disable-usage-stats" in start for start in starts)
    assert "--num-gpus=0" in starts[0]


def test_no_key_is_in_it() -> None:
    for name in FILES:
        assert not re.search(r"AKIA|aws_secret|password", (FOLDER / name).read_text(), re.IGNORECASE)
