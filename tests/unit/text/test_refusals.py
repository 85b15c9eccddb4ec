"""A refusal is the answer, not a mention of one."""

import re

import pyarrow.parquet as pq
import pytest

from halluc_ray.text.refusals import is_refusal

REFUSALS = [
    "I don't know.",
    "I do not know",
    "i dont know",
    "I don’t know.",
    "Sorry, I don't know the answer to that.",
    "I'm sorry, but I cannot assist with that request.",
    "I'm not sure.",
    "I am unable to summarize this text.",
    "I have no comment.",
    "As an AI language model, I cannot access real-time data.",
    "As an AI, I don't have personal opinions.",
    "There is not enough information to answer.",
    "There is no information about her in the passage.",
    "Not enough information",
    "The passage does not mention who won.",
    "Based on the given context, it is not possible to determine the year.",
    "It cannot be determined from the text.",
    "No answer",
    "N/A",
    "unanswerable",
    "Unknown.",
    "<think>Is it Paris? Perhaps.</think>I don't know.",
    "I cannot answer this, but you can consult an encyclopedia.",
    "I'm sorry, but I can't help with that. However, I can help you with something else.",
    "As of my knowledge cutoff, I don't have information on that.",
    "Without more context I cannot answer.",
    "The answer is not in the text.",
    "作为AI，我没有个人观点。",
    "这个问题我无法回答。",
    "此问题无法回答。",
    "我不知道。",
    "抱歉，我无法回答这个问题。",
    "对不起，作为一个人工智能语言模型，我无法提供实时信息。",
    "文中没有提到这个人。",
    "根据文章内容，无法确定具体时间。",
    "信息不足",
    "很抱歉，我不能回答，但您可以咨询医生。",
]

ANSWERS = [
    "I don't know why people say Lyon, but the answer is Paris.",
    "I don't know for sure but it is Paris.",
    "I'm not sure. I think it was the United States.",
    "As an AI, I can tell you that it is Paris.",
    "As an AI language model, I don't have opinions, but I can give the definition. Demand is the quantity of a good "
    "that buyers are willing and able to buy at each price, all else being equal, in a market over a given time.",
    "There is no scientific evidence that breastfeeding makes a child smarter.",
    "It was impossible for knights in full armour to mount without help.",
    "He said: I don't know.",
    "The Unknown Soldier",
    "No",
    "None of them",
    "Paris",
    "",
    "我不知道为什么有人说里昂，但答案是巴黎。",
    "他说不知道。",
    "无法无天",
    "巴黎",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusal(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answer(text: str) -> None:
    assert not is_refusal(text)


def test_few_real_summaries_are_called_refusals(corpora) -> None:
    table = pq.read_table(corpora / "response_texts" / "part-000.parquet", columns=["response", "is_valid"])
    valid = [row["response"] for row in table.to_pylist() if row["is_valid"]]
    flagged = [text for text in valid if is_refusal(text)]
    assert len(valid) > 10_000
    assert len(flagged) < len(valid) / 1_000
    assert all(re.search(r"\b(?:not|no|can't|cannot|unable|sorry)\b", text) for text in flagged)


def test_uninformative_refusals_of_truthfulqa_are_found(corpora) -> None:
    rows = [
        row
        for part in ("part-000", "part-001")
        for row in pq.read_table(corpora / "truthfulqa_judgements" / f"{part}.parquet").to_pylist()
        if row["dimension"] == "informative" and re.match(r"I (?:don't know|have no comment)", row["response"])
    ]
    uninformative = [row["response"] for row in rows if row["label_raw"] == "no"]
    found = sum(map(is_refusal, uninformative))
    assert len(uninformative) > 100
    assert found >= 0.95 * len(uninformative)
