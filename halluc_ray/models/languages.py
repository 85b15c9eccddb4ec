"""Languages of a translation model: how its tokenizer marks the input, and the token that the output starts with.

Knows the tokenizers of mBART, NLLB and M2M100; one of a single pair of languages, or one that reads the
language from the text (T5, Marian), has no codes. Caller: `seq2seq`. Imports transformers' tokenizers
only through what it is given.
"""

from __future__ import annotations

from typing import Any

from halluc_ray.config import Seq2SeqSystem
from halluc_ray.errors import SpecError


def language_codes(tokenizer: Any) -> dict[str, int]:
    """Token id by language code; empty where the tokenizer has no languages."""
    if not hasattr(tokenizer, "src_lang"):
        return {}
    if hasattr(tokenizer, "get_lang_id"):
        return {code: int(tokenizer.get_lang_id(code)) for code in tokenizer.lang_code_to_token}
    codes = getattr(tokenizer, "lang_code_to_id", None) or tokenizer.extra_special_tokens
    ids = {str(code): int(tokenizer.convert_tokens_to_ids(str(code))) for code in codes}
    return {code: token for code, token in ids.items() if token != tokenizer.unk_token_id}


def set_languages(system: Seq2SeqSystem, tokenizer: Any, *, forced: int | None, start: int | None) -> int | None:
    """Tell the tokenizer the input's language.

    Args:
        system: says `source_lang` and `target_lang`.
        tokenizer: changed in place.
        forced: first output token that the checkpoint's own settings ask for.
        start: the token that its decoder starts from.

    Returns:
        The first output token to force: the target language's, else `forced`.

    Raises:
        SpecError: a language that the tokenizer does not have, or none where the output needs one.
    """
    codes = language_codes(tokenizer)
    for key in ("source_lang", "target_lang"):
        _check(system, key, codes)
    if system.source_lang is not None:
        tokenizer.src_lang = system.source_lang
    if system.target_lang is not None:
        return codes[system.target_lang]
    if codes and forced is None and start not in codes.values():
        raise SpecError(
            f"systems[{system.name}].target_lang: null, and the checkpoint writes {len(codes)} languages "
            f"({_some(codes)}) and prefers none; name the one to write"
        )
    return forced


def _check(system: Seq2SeqSystem, key: str, codes: dict[str, int]) -> None:
    code = getattr(system, key)
    if code is None or code in codes:
        return
    if not codes:
        raise SpecError(
            f"systems[{system.name}].{key}: {code!r}, and the checkpoint's tokenizer has no language codes; where the "
            "model reads the language from its input, write it in template"
        )
    raise SpecError(
        f"systems[{system.name}].{key}: {code!r} is none of the checkpoint's {len(codes)} languages; "
        f"it has {_some(codes)}"
    )


def _some(codes: dict[str, int]) -> str:
    names = sorted(codes)
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
