"""`halluc-ray preview`: a few rows all the way through, before a run is paid for.

Knows the command's shape and what it prints; the work is in `evaluation.preview`. Registered by `app`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any
from unicodedata import category

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from halluc_ray.cli.exits import exits

if TYPE_CHECKING:
    from halluc_ray.evaluation.preview import PreviewedRow, Unit, Verdict
    from halluc_ray.wiring.previewing import ShownPrompt

_ENDS = 8
"""Token ids shown at either end of a prompt."""
_MAX_REPEATS = 3
"""Of one special token in a row, such as an image's, before they are counted instead."""
_MAX_CHARACTERS = 2_000
_WIDTH_OF_NO_TERMINAL = 120
_STYLES = {"text": "", "special": "bold cyan reverse", "cut": "red strike"}
_SHAPELESS = frozenset({"Cc", "Cf", "Cs"})
"""Unicode's controls, formatting marks and halves of pairs."""
_OUTCOMES = {"hallucinated": "bold red", "supported": "green", "failed": "bold yellow"}


def preview(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="YAML file: a path or an s3:// URI.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows to show of each system.")] = 3,
    systems: Annotated[
        list[str] | None, typer.Option("--system", metavar="NAME", help="Only this system; may be repeated.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the spec, such as corpus.limit=5; may be repeated."),
    ] = None,
    model: Annotated[bool, typer.Option(help="Load models and let them answer; without: prompts alone.")] = True,
    ask: Annotated[bool, typer.Option("--ask", help="Send the requests of endpoints, which may cost money.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Long texts in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per row and line, in full.")] = False,
) -> None:
    """Show a few rows all the way through: prompt, tokens, answer, verdicts. Needs no Ray and keeps nothing.

    Models run on this machine's CPU, so a run's answers may differ in rounding.

    [bold]Examples[/bold]

    halluc-ray preview nightly.yaml

    halluc-ray preview nightly.yaml --rows 1 --system tuned --no-model
    """
    with exits():
        from halluc_ray.evaluation.preview import Wish
        from halluc_ray.evaluation.preview import preview as preview_of
        from halluc_ray.evaluation.reading import read_spec

        read = read_spec(spec, overrides=overrides or ())
        console = Console()
        console = console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)
        shown = 0
        for row in preview_of(read, Wish(rows=rows, systems=tuple(systems or ()), with_models=model, ask=ask)):
            shown += 1
            if as_json:
                typer.echo(json.dumps(asdict(row), ensure_ascii=False, default=str))
            else:
                print_row(console, row, most=None if full else _MAX_CHARACTERS)
        if not shown:
            typer.echo("No row: the corpus is empty, or its selection keeps nothing.", err=True)


def print_row(console: Console, row: PreviewedRow, *, most: int | None = None) -> None:
    """One row under one system; texts longer than `most` characters lose their middle."""
    console.rule(Text(f"{row.system} ({row.kind})  {_visible(row.id)}", style="bold"), align="left")
    console.print(Text(row.file, style="dim"), soft_wrap=True)
    for title, body in _parts(row, most):
        console.print(Text(title, style="bold"))
        console.print(Padding(body, (0, 0, 0, 2)))
    console.print()


def _parts(row: PreviewedRow, most: int | None) -> list[tuple[str, RenderableType]]:
    parts: list[tuple[str, RenderableType]] = []
    if row.prompt.problem:
        parts.append(("no prompt", Text(_visible(row.prompt.problem), style="bold yellow")))
    if row.prompt.pieces:
        parts.append(("prompt", _prompt(row.prompt, most)))
    if row.prompt.token_ids:
        parts.append(("tokens", Text(_tokens(row.prompt))))
    if row.prompt.request is not None:
        body = json.dumps(row.prompt.request, ensure_ascii=False, indent=2)
        title = "request" if row.units else "request, not sent: --ask sends it"
        parts.append((title, Text(_cut(_visible(body), most))))
    if row.image_bytes:
        sizes = ", ".join(f"{size:,} bytes" for size in row.image_bytes)
        parts.append(("images", Text(f"{len(row.image_bytes)}: {sizes}")))
    if "reference" in row.fields:
        parts.append(("reference", Text(_cut(_visible(row.fields["reference"]), most))))
    for unit in row.units:
        parts += _unit_parts(row, unit, most)
    return parts


def _unit_parts(row: PreviewedRow, unit: Unit, most: int | None) -> list[tuple[str, RenderableType]]:
    output = unit.output
    parts: list[tuple[str, RenderableType]] = []
    if output["raw_text"] is not None:
        count = output["num_reasoning_tokens"]
        tokens = f" ({count} tokens of reasoning)" if count is not None else ""
        parts.append((f"generated{tokens}", Text(_cut(_visible(output["raw_text"]), most), style="dim")))
    draw = f", draw {output['draw']}" if len(row.units) > 1 else ""
    if output["failure"]:
        parts.append((f"failed{draw}", Text(str(output["failure"]), style="bold yellow")))
    else:
        text = output["text"] if output["text"] is not None else row.fields.get("response")
        parts.append((f"answer{draw}", _answer(output, text, most)))
    parts.append(("verdicts", _verdicts(unit.verdicts)))
    return parts


def _prompt(prompt: ShownPrompt, most: int | None) -> Text:
    text = Text()
    for (kind, written), run in groupby(prompt.pieces, key=lambda piece: (piece.kind, piece.text)):
        words, times = _cut(_visible(written), most), len(list(run))
        if times > _MAX_REPEATS:
            words = f"{words}×{times:,}"
        else:
            words *= times
        text.append(f"[[cut: {words}]]" if kind == "cut" else words, style=_STYLES[kind])
    return text


def _tokens(prompt: ShownPrompt) -> str:
    ids = prompt.token_ids
    between = len(ids) - 2 * _ENDS
    shown = [*map(str, ids[:_ENDS]), f"… {between:,} more …", *map(str, ids[-_ENDS:])] if between > 0 else map(str, ids)
    cut = f"; {prompt.num_cut:,} cut away" if prompt.num_cut else ""
    return f"{len(ids):,}: {' '.join(shown)}{cut}"


def _answer(facts: Mapping[str, Any], text: str | None, most: int | None) -> Text:
    answer = Text(_cut(_visible(text), most) if text is not None else "")
    notes = [str(facts["finish"])] if facts["finish"] else []
    notes += [f"{facts['num_output_tokens']} tokens"] if facts["num_output_tokens"] else []
    notes += [
        f"{name} {facts[name]:.4g}" for name in ("probability", "logprob", "similarity") if facts[name] is not None
    ]
    if notes:
        answer.append(f"{'  ' if text else ''}({', '.join(notes)})", style="dim")
    for option in facts["option_scores"] or ():
        answer.append(f"\n{option['logprob']:10.3f}  {option['num_tokens']:4} tokens  {_visible(option['text'])}")
    return answer


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    table = Table.grid(padding=(0, 2))
    for verdict in verdicts:
        evidence = ", ".join(f"{name} {_visible(_number(value))}" for name, value in verdict.evidence.items())
        outcome = Text(verdict.outcome, style=_OUTCOMES.get(verdict.outcome, ""))
        table.add_row(Text(verdict.indicator), outcome, Text(evidence))
    return table


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cut(text: str, most: int | None) -> str:
    if most is None or len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} characters; --full shows them…] {text[-half:]}"


def _visible(text: str) -> str:
    """The text with what has no shape written out: a corpus must not drive the terminal, nor hide in it."""
    return "".join(c if c in "\n\t" or category(c) not in _SHAPELESS else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
