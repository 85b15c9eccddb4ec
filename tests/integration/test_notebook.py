"""The notebook of the examples runs, and says what its own table says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "answers_to_report.ipynb"
_CELL_LIMIT_S = 120


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each cell of code showed last, by the cell's first line."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    NotebookClient(notebook, timeout=_CELL_LIMIT_S, resources=where).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {cell.source.splitlines()[0]: _last(cell.outputs) for cell in cells}


def _last(outputs: list[nbformat.NotebookNode]) -> str:
    data = [output.data for output in outputs if output.output_type in ("execute_result", "display_data")]
    return str(data[-1].get("text/html") or data[-1]["text/plain"]) if data else ""


def test_rates_are_those_of_the_table(shown: dict[str, str]) -> None:
    overall = next(text for line, text in shown.items() if line.startswith("overall"))
    cells = overall.replace("\n", "").replace(" ", "")
    assert "<td>small</td><td>4</td><td>4</td><td>0</td><td>0.5" in cells
    assert "<td>large</td><td>1</td><td>6</td><td>1</td><td>0.142857" in cells


def test_the_report_is_shown_as_a_table(shown: dict[str, str]) -> None:
    report = next(text for line, text in shown.items() if line.startswith("answers.to_parquet"))
    assert "<table" in report
    assert "50.0" in report


def test_rows_behind_the_rate(shown: dict[str, str]) -> None:
    wrong = next(text for line, text in shown.items() if line.startswith("wrong"))
    assert "Bobo-Dioulasso" in wrong
    assert "Canberra</td>" in wrong
    assert "Jupiter" not in wrong
