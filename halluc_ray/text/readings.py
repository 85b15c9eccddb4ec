"""Yes or no: what an answer to a polar question says.

Knows the words that open such an answer in English and Chinese; does not guess from the rest of
the sentence. Called by `answer_mismatch`.
"""

from __future__ import annotations

import re

from halluc_ray.text.traces import strip_traces

_LEAD = re.compile(
    r"\A[\W_]*(?:(?:the\s+)?(?:short\s+|correct\s+|final\s+)?answer(?:\s+is|\s*:)[\W_]*|答案(?:是|为|[:：])[\W_]*|well[,\s]+)",
    re.IGNORECASE,
)
_GO_ON = r"(?=\s*(?:\Z|[^\w\s'’-]|[-–—]\s)|\s+(?:it|they|he|she|there|this|that|these|those|we|i|you|because|since)\b)"
_YES = re.compile(
    r"\A[\W_]*(?:(?:yes|yeah|yep|yup|true|correct|right|certainly|definitely|absolutely|indeed|of\s+course)"
    rf"{_GO_ON}|(?:it|that|this|the\s+(?:statement|claim|answer))(?:\s+is|['’]s)\s+(?:indeed\s+)?(?:true|correct|right)\b"
    r"|(?:是的?|对的?|正确的?|没错|有的?|可以的?|会的?|能|真的?|属实)(?=\s*(?:\Z|[^\w\s])))",
    re.IGNORECASE,
)
_NO = re.compile(
    r"\A[\W_]*(?:(?:no|nope|false|incorrect|wrong|not\s+really|not\s+at\s+all|definitely\s+not|certainly\s+not|of\s+course\s+not|absolutely\s+not)"
    rf"{_GO_ON}|(?:it|that|this|the\s+(?:statement|claim|answer))(?:\s+is|['’]s)\s+(?:false|incorrect|wrong|(?:not|un)\s*(?:true|correct|right))\b"
    r"|(?:不是的?|不对|不正确|错误?的?|否|没有|不可以|不会|不能|不|假的?|并非)(?=\s*(?:\Z|[^\w\s])))",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\A[\W_]*(?:yes\s+and\s+no|yes\s*[/,]\s*no|yes\s+or\s+no|是和不是|是或不是|是也不是)", re.IGNORECASE
)


def read_yes_no(text: str) -> bool | None:
    """True for yes, False for no, None where the opening words say neither.

    >>> read_yes_no("Yes, it is."), read_yes_no("不是。"), read_yes_no("No one knows.")
    (True, False, None)
    """
    answer = strip_traces(text)
    lead = _LEAD.match(answer)
    if lead:
        answer = answer[lead.end() :]
    if _BOTH.match(answer):
        return None
    if _NO.match(answer):
        return False
    return True if _YES.match(answer) else None
