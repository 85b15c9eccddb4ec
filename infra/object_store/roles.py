"""The policies of `policies/`, filled in: for the local server, and for tests that hold them to the code.

A file there is an AWS policy document in which `${bucket}`, `${root}`, `${inputs}`, `${inputs_root}` and
`${kms_key_arn}` stand for names, as Terraform's `templatefile` reads them. Callers: `server`, tests, and a shell
without Terraform:

    python -m infra.object_store.roles job --bucket evals --root out/
"""

from __future__ import annotations

import argparse
import json
import string
import sys
from pathlib import Path
from typing import Any

POLICIES = Path(__file__).with_name("policies")
ROLES = ("job", "reader", "publisher")


def policy(
    name: str, *, bucket: str, root: str = "", inputs: str = "", inputs_root: str = "", kms_key_arn: str = ""
) -> dict[str, Any]:
    """A policy document.

    Args:
        name: of the file, without its suffix.
        bucket: that holds the output.
        root: where the output lies in it, `out/`; empty for the whole bucket.
        inputs: bucket of corpora, checkpoints, specs and suites; empty where it is the same.
        inputs_root: where they lie in it.
        kms_key_arn: of the bucket's key.

    Raises:
        ValueError: a root has no slash at its end.
    """
    for given in (root, inputs_root):
        if given and not given.endswith("/"):
            raise ValueError(f"root {given!r}: end it with a slash, or out/ would also mean outlet/")
    names = {
        "bucket": bucket,
        "root": root,
        "inputs": inputs or bucket,
        "inputs_root": inputs_root,
        "kms_key_arn": kms_key_arn,
    }
    text = (POLICIES / f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(string.Template(text).substitute(names)))


def main() -> None:
    """Print a policy document."""
    parser = argparse.ArgumentParser(description="A policy for one who works with the bucket.")
    parser.add_argument("name", choices=sorted(path.stem for path in POLICIES.glob("*.json")))
    parser.add_argument("--bucket", required=True)
    for option in ("--root", "--inputs", "--inputs-root", "--kms-key-arn"):
        parser.add_argument(option, default="")
    options = vars(parser.parse_args())
    sys.stdout.write(json.dumps(policy(options.pop("name"), **options), indent=2) + "\n")


if __name__ == "__main__":
    main()
