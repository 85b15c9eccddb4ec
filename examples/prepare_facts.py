"""Makes what `facts.yaml` reads: the questions, and a link to the converted checkpoint.

Usage: python examples/prepare_facts.py [FOLDER], by default `out`. The 768 questions take two to three minutes on
two cores.
"""

import sys
from pathlib import Path

from halluc_ray.corpora.facts import build_facts
from halluc_ray.models.smollm2 import ensure_smollm2


def main(folder: Path) -> None:
    """Write `FOLDER/facts/` and link `FOLDER/smollm2`."""
    corpus = build_facts(folder / "facts", limit=768)
    link = folder / "smollm2"
    link.unlink(missing_ok=True)
    link.symlink_to(ensure_smollm2(), target_is_directory=True)
    print(f"{sum(corpus.rows.values())} questions in {corpus.parquet_path}; sources and counts in {corpus.card_path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out"))
