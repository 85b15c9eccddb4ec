"""What a sample of lm-eval chose among options, and what would have been right.

The harness sends one request per option and logs a (log-likelihood, is greedy) for each. Options are
continuations of one context; in tasks such as WinoGrande they end the context, and the continuation is
one. For mutual information it asks each option again without the context. Knows one sample. Caller: `lm_eval`.

Reference: EleutherAI/lm-evaluation-harness, lm_eval/api/task.py (construct_requests, process_results).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halluc_ray.corpora.importing.records import RowProblem


@dataclass(frozen=True, slots=True)
class Choice:
    """One multiple-choice sample.

    Attributes:
        prompt: what all options follow.
        options: their texts.
        chosen: the number of the likeliest.
        is_greedy: whether greedy decoding would have said it.
        ends_context: the options end the context, and `target` is what follows them all.
    """

    prompt: Any
    options: tuple[str | None, ...]
    chosen: int
    is_greedy: bool
    ends_context: bool

    @property
    def answer(self) -> str | None:
        """The option that was chosen; one alone is chosen only if it would have been said."""
        return self.options[self.chosen] if len(self.options) > 1 or self.is_greedy else None


def choice_of(requests: Sequence[Sequence[Any]], answers: Sequence[Any]) -> Choice | None:
    """What was chosen; None where the answers are no log-likelihoods, one per request.

    Raises:
        RowProblem: nothing tells the options apart, or which is the likeliest.
    """
    if len(answers) != len(requests) or not all(map(_is_likelihood, answers)):
        return None
    conditional = _conditional(requests)
    likelihoods = [float(one[0]) for one in answers[: len(conditional)]]
    if any(map(math.isnan, likelihoods)):
        raise RowProblem("no answer", "a log-likelihood is NaN, so that no option is the likeliest")
    chosen = likelihoods.index(max(likelihoods))
    ends_context = _end_contexts(conditional)
    prompt, options = _parted(conditional) if ends_context else (conditional[0][0], [_said(one) for one in conditional])
    return Choice(prompt, tuple(options), chosen, str(answers[chosen][1]).lower() == "true", ends_context)


def reference_of(choice: Choice, target: Any, sample: Mapping[str, Any]) -> Any:
    """The right option's text, or several; the target itself where it is no option's number.

    Options that are numbers themselves leave open what a target such as `1` means, and options that end the
    context are not named by it at all; the metric `acc` then tells.

    Raises:
        RowProblem: it does not.
    """
    options = choice.options
    if choice.ends_context:
        return _by_metric(choice, options, sample)
    if len(options) < 2 or None in options:
        return target
    if rights := _labelled(options, sample.get("doc")):
        return rights
    if isinstance(target, list) and all(isinstance(one, int) and 0 <= one < len(options) for one in target):
        return [options[one] for one in target]
    number = str(sample["target"]).strip()
    if not (number.isascii() and number.isdigit()) or int(number) >= len(options):
        return target
    by_number = options[int(number)]
    if number not in options or by_number == number:
        return by_number
    return _by_metric(choice, (number, by_number), sample)


def _by_metric(choice: Choice, candidates: Sequence[str | None], sample: Mapping[str, Any]) -> str | None:
    """The only candidate that agrees with what the harness found."""
    right = sample.get("acc")
    fitting = [one for one in candidates if right in (0, 1) and (choice.answer == one) == bool(right)]
    if len(fitting) != 1:
        raise RowProblem(
            "unclear target", f"target {sample['target']!r} does not say which option is right, and acc does not either"
        )
    return fitting[0]


def _labelled(options: Sequence[str | None], doc: Any) -> list[str]:
    """TruthfulQA's MC2 has several right options, of which the target names the first."""
    labelled = doc.get("mc2_targets") if isinstance(doc, Mapping) else None
    if not isinstance(labelled, Mapping):
        return []
    choices, labels = labelled.get("choices"), labelled.get("labels")
    if not isinstance(choices, list) or not isinstance(labels, list) or len(choices) != len(labels):
        return []
    texts = [str(one).strip() for one in choices]
    return [text for text, label in zip(texts, labels, strict=True) if label == 1] if texts == list(options) else []


def _conditional(requests: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The requests that show the context: all, or the first half where the other asks the options without it."""
    half, odd = divmod(len(requests), 2)
    first, second = requests[:half], requests[half:]
    if odd or half < 2 or len({str(one[0]) for one in first}) != 1 or len({str(one[0]) for one in second}) != 1:
        return requests
    alike = list(map(_said, first)) == list(map(_said, second)) and None not in map(_said, first)
    return first if alike and first[0][0] != second[0][0] else requests


def _end_contexts(requests: Sequence[Sequence[Any]]) -> bool:
    said = {_said(one) for one in requests}
    return len(requests) > 1 and len(said) == 1 and None not in said


def _parted(requests: Sequence[Sequence[Any]]) -> tuple[str, list[str]]:
    """What all contexts begin with, up to a word, and what follows it in each, continuation included."""
    contexts = [one[0] for one in requests]
    if not all(isinstance(one, str) for one in contexts) or len(set(contexts)) < len(contexts):
        raise RowProblem("unclear options", "all options are one text, and their contexts do not differ either")
    columns = enumerate(zip(*contexts, strict=False))
    differ = next((place for place, letters in columns if len(set(letters)) > 1), min(map(len, contexts)))
    shared = contexts[0][:differ]
    at = shared.rfind(" ") + 1 or len(shared)
    return shared[:at].rstrip(), [f"{one[0][at:]}{one[1]}".strip() for one in requests]


def _said(request: Sequence[Any]) -> str | None:
    return request[1].strip() if len(request) > 1 and isinstance(request[1], str) else None


def _is_likelihood(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or str(value[1]).lower() not in ("true", "false"):
        return False
    try:
        float(value[0])
    except (TypeError, ValueError):
        return False
    return True
