"""From a server's answer to the stored form of a unit: traces are taken off, as for a local model.

Servers either leave a trace in the text or keep it apart in a field of its own. Pure. Caller: `generator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from halluc_ray.config import Reasoning
from halluc_ray.models.endpoint.replies import NO_TEXT, Answer
from halluc_ray.models.protocol import Output
from halluc_ray.models.reasoning import UNCLOSED, take_answer

Unit = dict[str, object]
"""A row of a generate part, by column."""


def unit_of(
    row: int, draw: int, id_: str, answer: Answer, *, reasoning: Reasoning | None, opened: bool = False
) -> Unit:
    """The unit of one draw of one row.

    Args:
        row: offset of the row in its shard.
        draw: which of its draws.
        id_: the row's id.
        answer: what the server said.
        reasoning: of the system.
        opened: the prompt ends with an opening tag.
    """
    output = Output(
        answer.text,
        finish=answer.finish,
        num_output_tokens=answer.num_output_tokens or 0,
        num_reasoning_tokens=answer.num_reasoning_tokens,
        logprob=answer.logprob,
        failure=answer.failure,
    )
    if answer.reasoning:
        output = _with_trace_apart(output, answer.reasoning, reasoning or Reasoning())
    elif _never_answered(answer) and (reasoning or Reasoning()).on_unclosed == "failed":
        output = replace(output, text=None, failure=UNCLOSED)
    elif reasoning is not None:
        output = take_answer(output, reasoning, opened=opened)
        if answer.num_reasoning_tokens is not None:
            output = replace(output, num_reasoning_tokens=answer.num_reasoning_tokens)
    unit: Mapping[str, object] = asdict(output) | {
        "num_prompt_tokens": answer.num_prompt_tokens,
        "num_output_tokens": answer.num_output_tokens,
    }
    return {"row": row, "draw": draw, "id": id_, **unit}


def _never_answered(answer: Answer) -> bool:
    """The server keeps its reasoning to itself, and it took all that the answer might be long."""
    return not answer.text and answer.finish == "length" and bool(answer.num_reasoning_tokens)


def _with_trace_apart(output: Output, trace: str, reasoning: Reasoning) -> Output:
    """The server kept the trace apart: an answer that is empty because it was cut has not begun."""
    tag = reasoning.tags[0]
    if output.text or output.finish != "length" or output.failure not in (None, NO_TEXT):
        return replace(output, raw_text=f"<{tag}>{trace}</{tag}>{output.text or ''}")
    if reasoning.on_unclosed == "answer":
        return replace(output, text=trace, raw_text=f"<{tag}>{trace}", failure=None)
    return replace(output, text=None, raw_text=f"<{tag}>{trace}", failure=UNCLOSED)
