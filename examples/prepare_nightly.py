"""Makes what `nightly.yaml` reads: the answers that a model gave to sums on two nights, worse on the second.

Usage: python examples/prepare_nightly.py [PLACE], by default `out/nightly`; s3://bucket/prefix will do. No
model runs: the answers stand in for those of two checkpoints, of which the second forgot how to multiply.
"""

import io
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.errors import HallucRayError
from halluc_ray.storage import ObjectStore, open_store

ROWS = 900
OPERATIONS = {"plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b}


def answers(*, forgetful: bool) -> pa.Table:
    """Every thirteenth answer is wrong, every fiftieth is none; a forgetful model gets two products of five wrong."""
    columns: dict[str, list[str]] = {name: [] for name in ("id", "question", "truth", "answer", "operation", "size")}
    for k in range(ROWS):
        operation, compute = list(OPERATIONS.items())[k % 3]
        a, b = 11 + k % 37, 3 + k % 29
        truth = compute(a, b)
        wrong = k % 13 == 0 or (forgetful and operation == "times" and k % 5 < 2)
        columns["id"].append(f"q{k:04}")
        columns["question"].append(f"What is {a} {operation} {b}?")
        columns["truth"].append(str(truth))
        columns["answer"].append("I don't know." if k % 50 == 7 else str(truth + 1 if wrong else truth))
        columns["operation"].append(operation)
        columns["size"].append("small" if a < 30 else "large")
    return pa.table(columns)


def main(store: ObjectStore) -> None:
    """Write `answers/<date>/part-0.parquet` for two dates."""
    for date, forgetful in (("2026-11-23", False), ("2026-11-24", True)):
        buffer = io.BytesIO()
        pq.write_table(answers(forgetful=forgetful), buffer)
        key = f"answers/{date}/part-0.parquet"
        store.put(key, buffer.getvalue())
        print(f"{store.uri}/{key}")


if __name__ == "__main__":
    try:
        main(open_store(sys.argv[1] if len(sys.argv) > 1 else "out/nightly"))
    except HallucRayError as error:
        sys.exit(f"error: {error}")
