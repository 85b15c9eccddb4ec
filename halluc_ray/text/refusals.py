"""Refusals and abstentions: answers that decline to answer.

Knows how a refusal opens in English and Chinese and how an answer may follow after all; does not
know the question. A refusal has to be the answer, not a mention of one. Called by indicators that
read responses, which report such rows as `abstained`.
"""

from __future__ import annotations

import re

from halluc_ray.text.traces import strip_traces

_WHOLE = frozenset(
    {
        "unknown", "unanswerable", "no answer", "not answerable", "n/a", "na", "not available", "not known", "idk",
        "not sure", "unsure", "no idea", "no comment", "dont know", "do not know", "cannot answer", "cant answer",
        "not enough information", "insufficient information", "no information", "not mentioned", "not specified",
        "not stated", "not provided", "cannot be determined", "pass",
        "未知", "不知道", "不清楚", "不确定", "不详",
        "无答案", "没有答案", "无法回答", "无法确定", "无法判断", "无法得知",
        "信息不足", "未提及", "没有提到", "文中未提及", "不便回答", "拒绝回答",
    }
)  # fmt: skip

_LEAD_EN = (
    r"(?>(?:(?:i['’]?m|i\s+am|we\s+are|we['’]re)\s+(?:so\s+|very\s+|really\s+|truly\s+|terribly\s+)?(?:sorry|afraid)"
    r"|sorry|apologies|my\s+apologies|(?:i|we)\s+apologi[sz]e(?:\s+for\s+[^,.;!]{1,40})?"
    r"|unfortunately|regrettably|honestly|actually|well|hmm+|thank\s+you[^.!,]{0,60}(?=[.!,])"
    r"|(?:based\s+on|according\s+to|from|given|in)\s+(?:the|this|your)\s+[^,.;]{1,60}?(?=,|\s+(?:i|we|it|there)\b)"
    r"|(?:as\s+of\s+my|without\s+(?:more|further|additional|any))\s+[^,.;]{1,60}?(?=,|\s+i\b)"
    r"|as\s+(?:an?\s+)?(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model)\b[^,.;]{0,60}?(?=,|\s+i\b))"
    r"[\s,.;:!—–-]*(?:but\s+|that\s+|however,?\s+)?)*+"
)
_CANNOT = r"(?:can\s*not|can['’]?t|could\s*n['’]?t|could\s+not|won['’]?t|will\s+not)"
_NOT = r"(?:do\s+not|don['’]?t|did\s+not|didn['’]?t)"
_MISSING = (
    r"(?:information|data|details|context|knowledge|evidence|idea|access|answer|"
    r"opinions?|feelings|personal\s+\w+|preferences)"
)
_CORE_EN = (
    rf"(?:(?:i|we)\s+(?:really\s+|honestly\s+|just\s+|simply\s+)?{_NOT}\s+(?:actually\s+|really\s+)?(?:know\b|have\s+(?:[\w-]+\s+){{0,4}}{_MISSING}\b)"
    rf"|(?:i|we)\s+have\s+(?:no\s+(?:[\w-]+\s+){{0,2}}(?:idea|information|comment|knowledge|opinion|data|answer)|not\s+been\s+given)\b"
    rf"|(?:i|we)\s*{_CANNOT}\s+(?:[\w-]+\s+){{0,2}}?(?:answer|assist|help|provide|determine|say|tell|comply|fulfil+|find|verify|confirm|comment|respond|"
    r"access|browse|give|generate|create|complete|discuss|engage|summari[sz]e|do\s+(?:that|this|it)|be\s+(?:sure|certain))\b"
    r"|(?:(?:i|we)\s+am|i['’]?m|we\s+are|we['’]re)\s+(?:unable|not\s+able)\s+to\b"
    r"|(?:i\s+am|i['’]?m)\s+(?:not\s+(?:quite\s+|entirely\s+|really\s+)?(?:sure|certain|aware|familiar)|unsure|uncertain|unaware)\b"
    r"|(?:there\s+is|there['’]s)\s+(?:not\s+enough|insufficient|no)\s+(?:[\w-]+\s+){0,2}(?:information|data|context)\b"
    r"|(?:not\s+enough|insufficient)\s+(?:information|data|context|evidence)\b"
    r"|(?:it|this|that|the\s+(?:answer|question)|this\s+question)\s+(?:is|was)\s+(?:(?:not\s+possible|impossible)\s+(?:for\s+me\s+)?to\s+"
    r"(?:say|tell|know|determine|answer|give|provide|predict|identify|verify|confirm)|unclear|unknown|not\s+known|not\s+clear|not\s+stated|"
    r"not\s+mentioned|not\s+specified|unanswerable|not\s+answerable)\b"
    r"|(?:it|this|that|the\s+(?:answer|question)|this\s+question)\s+(?:can\s*not|can['’]t)\s+be\s+(?:determined|answered|known|said|inferred)\b"
    r"|(?:the|this|your)\s+(?:given\s+|provided\s+|above\s+)?(?:passage|text|context|document|article|paragraph|information|source|summary|question)\s+"
    r"(?:provided\s+|given\s+|above\s+)?(?:does\s+not|doesn['’]?t|did\s+not|didn['’]?t)\s+(?:explicitly\s+|specifically\s+|directly\s+)?"
    r"(?:mention|provide|contain|specify|say|state|include|give|indicate|answer|discuss)"
    r"|the\s+answer\s+is\s+not\s+(?:in|given|stated|mentioned|provided|specified|available|found|contained)\b"
    r"|cannot\s+be\s+determined|no\s+(?:relevant\s+)?information\s+(?:is|was)\s+(?:provided|given|available)|who\s+knows\b)"
)
_ENGLISH = re.compile(rf"\A[\W_]*+{_LEAD_EN}{_CORE_EN}", re.IGNORECASE)

_LEAD_ZH = (
    r"(?>(?:非常|很|十分|实在)?(?:抱歉|对不起|不好意思|遗憾)"
    r"|作为(?:一个|一名|一款)?(?:AI|人工智能|大?语言模型|智能助手)[^，,。；;]{0,20}?(?=[，,]|我|无法|不能)"
    r"|(?:对于|关于)?(?:这个|这一|此|该|你的|您的)问题|根据[^，,。；;]{1,30}?(?=[，,]|我|无法|不能|没有)|目前|但|[，,。！!：:\s])*+"
)
_CORE_ZH = (
    r"(?:(?:我们?|本人)?(?:也|真的|并|暂时|目前|还|确实)*(?:不知道|不清楚|不太清楚|不确定|不了解|无从得知|"
    r"(?:无法|不能|没办法|没法|不便)(?:准确|直接|为您|为你|给您|给你|给出|对此|就此|确切|具体|继续)*(?:地)?"
    r"(?:回答|提供|确定|判断|得知|知道|给出|答案|透露|评论|处理|协助|帮助|满足|获取|查询|讨论|完成|回应|做出)|"
    r"(?:没有|缺乏|缺少)(?:足够|相关|任何|充分|具体|更多|这方面)*的?(?:信息|资料|数据|答案|依据|记录|个人观点|观点|看法|意见|情感|感情))"
    r"|(?:文中|文章|原文|上下文|材料|文本|文档|段落|题目|资料|新闻)(?:中|里|内容)?(?:并)?(?:没有|未|并未|没)(?:明确|具体|直接)*(?:提及|提到|说明|给出|提供|涉及)"
    r"|信息不足|无可奉告)"
)
_CHINESE = re.compile(rf"\A[\W_]*+{_LEAD_ZH}{_CORE_ZH}", re.IGNORECASE)

_TURN_EN = re.compile(
    r"[,;.!?—–-]\s*(?:(?:but|however|although|though|that\s+said|nevertheless|nonetheless|still)\b[,\s]*"
    r"|(?=(?:i|we)\s+(?:think|believe|guess|suspect|assume|would\s+(?:say|guess))\b|my\s+(?:best\s+)?guess\b|maybe\b|perhaps\b|probably\b"
    r"|(?:it|that|this|he|she|they)\s+(?:could|might|may)\s+be\b))|(?<=\w)\s+but\s+",
    re.IGNORECASE,
)
_TURN_ZH = re.compile(r"[，,。；;！!]\s*(?:但是|但|不过|然而|可是|只是)[，,]?")
_STAYS_EN = re.compile(
    rf"(?:{_LEAD_EN}{_CORE_EN}|i\s+(?:think|believe|guess)\s+(?:you|we)\b|(?:you|please|if|feel\s+free|let\s+me|there\s+(?:are|may|might)\s+(?:\w+\s+)?resources)\b)",
    re.IGNORECASE,
)
_OFFER_EN = re.compile(r"(?:i|we)(?:\s+(?:can|could|would|will|am\s+happy)|['’]d|['’]ll)\b", re.IGNORECASE)
_OFFER_ZH = re.compile(r"我?(?:可以|能够|会|愿意|建议)")
_OFFER_CHARS = 160
_STAYS_ZH = re.compile(rf"(?:{_CORE_ZH}|您|你|请|如果|欢迎|希望)")


def is_refusal(text: str) -> bool:
    """Whether the text, taken as an answer, declines to answer.

    A turn after the refusal ("I don't know why, but it is Paris") makes it an answer again, unless
    what follows is another refusal, advice, or a short offer of help (an offer that runs on is the
    help). The empty text is no refusal.

    >>> is_refusal("I'm sorry, but I don't know."), is_refusal("I don't know why, but it is Paris.")
    (True, False)
    >>> is_refusal("抱歉，我无法回答这个问题。"), is_refusal("他说不知道。")
    (True, False)
    """
    answer = strip_traces(text)
    bare = re.sub(r"['’]", "", answer.strip("\"'“”‘’.。!！?？*_()[]<> \n")).casefold()
    if bare in _WHOLE:
        return True
    english = _ENGLISH.match(answer)
    if english:
        return not _answers_after(answer, english.end(), turn=_TURN_EN, stays=_STAYS_EN, offer=_OFFER_EN)
    if answer.isascii():
        return False
    chinese = _CHINESE.match(answer)
    return chinese is not None and not _answers_after(
        answer, chinese.end(), turn=_TURN_ZH, stays=_STAYS_ZH, offer=_OFFER_ZH
    )


def _answers_after(
    answer: str, start: int, *, turn: re.Pattern[str], stays: re.Pattern[str], offer: re.Pattern[str]
) -> bool:
    found = turn.search(answer, start)
    if found is None or stays.match(answer, found.end()):
        return False
    offered = offer.match(answer, found.end()) is not None
    return not offered or len(answer) - found.end() > _OFFER_CHARS
