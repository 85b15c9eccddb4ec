"""The classifier against a plain transformers loop, one text at a time."""

import json

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from halluc_ray.errors import ModelError
from halluc_ray.models.checkpoints import label_names
from halluc_ray.models.execution import generate
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample

from .conftest import TEXTS, classifier


def plain_loop(folder, firsts, seconds=None):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for position, text in enumerate(firsts):
        pair = () if seconds is None else (seconds[position],)
        inputs = tokenizer(text, *pair, return_tensors="pt", truncation=True, max_length=64)
        with torch.no_grad():
            probabilities = network(**inputs).logits.double().softmax(-1)[0]
        index = int(probabilities.argmax())
        found.append((network.config.id2label[index], float(probabilities[index]), inputs["input_ids"].shape[1]))
    return found


@pytest.mark.parametrize("token_budget", [1, 70, 4096])
def test_labels_equal_a_plain_loop_whatever_the_budget(bert, samples, token_budget):
    table = generate(classifier(bert), samples=samples, token_budget=token_budget).table
    expected = plain_loop(bert, TEXTS)
    assert len({label for label, _, _ in expected}) > 1
    assert table["text"].to_pylist() == [label for label, _, _ in expected]
    assert table["probability"].to_pylist() == pytest.approx([p for _, p, _ in expected], abs=1e-5)
    assert table["num_prompt_tokens"].to_pylist() == [n for _, _, n in expected]
    assert table["finish"].to_pylist() == ["label"] * len(TEXTS)


def test_sentence_pairs_carry_segments(bert):
    pairs = [
        Sample(i, str(i), {"prompt": a, "context": b}) for i, (a, b) in enumerate(zip(TEXTS, TEXTS[::-1], strict=True))
    ]
    table = generate(classifier(bert, pair_template="{context}"), samples=pairs, token_budget=200).table
    expected = plain_loop(bert, TEXTS, TEXTS[::-1])
    assert table["text"].to_pylist() == [label for label, _, _ in expected]
    assert table["probability"].to_pylist() == pytest.approx([p for _, p, _ in expected], abs=1e-5)


def test_truncation_is_counted_and_never_exceeds_the_positions(bert, samples):
    table = generate(classifier(bert, max_input_tokens=512), samples=samples, token_budget=4096).table
    lengths = [len(ids) for ids in AutoTokenizer.from_pretrained(bert)(TEXTS)["input_ids"]]
    assert table["truncated"].to_pylist() == [length > 64 for length in lengths]
    assert any(table["truncated"].to_pylist())
    assert max(table["num_prompt_tokens"].to_pylist()) == 64


def test_labels_are_named_as_the_plan_says(bert, samples):
    named = generate(classifier(bert, labels={"2": "C", "0": "A", "1": "B"}), samples=samples, token_budget=99).table
    own = generate(classifier(bert), samples=samples, token_budget=99).table
    assert named["text"].to_pylist() == [
        {"no": "A", "maybe": "B", "yes": "C"}[text] for text in own["text"].to_pylist()
    ]


@pytest.mark.parametrize("num_labels", [2, 3])
def test_names_that_a_config_leaves_out_are_those_of_the_network(tmp_path, num_labels):
    config = BertConfig(num_labels=num_labels)
    config.save_pretrained(tmp_path)
    assert label_names(json.loads((tmp_path / "config.json").read_text())) == config.id2label
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "num_labels": num_labels}))
    assert label_names({"num_labels": num_labels}) == BertConfig.from_pretrained(tmp_path).id2label


def test_weights_that_are_not_there_are_not_invented(gpt2):
    with pytest.raises(ModelError, match=r"no weights for score\.weight"):
        classifier(gpt2)


def test_positions_that_roberta_reserves_are_not_used(bert, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.save_pretrained(tmp_path)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=40, pad_token_id=2,
    )  # fmt: skip
    RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    table = generate(classifier(tmp_path), samples=[Sample(0, "x", {"prompt": "word " * 90})], token_budget=99).table
    assert table.select(["failure", "truncated", "num_prompt_tokens"]).to_pylist() == [
        {"failure": None, "truncated": True, "num_prompt_tokens": 37}
    ]


def test_a_decoder_with_a_head_classifies_by_its_last_token(gpt2, samples, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(6)
    network = GPT2ForSequenceClassification(
        GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=1, n_head=4)
    )
    torch.nn.init.normal_(network.score.weight, std=2.0)
    network.save_pretrained(tmp_path)
    rows = [*samples, Sample(len(samples), "empty", {"prompt": ""})]
    table = generate(classifier(tmp_path), samples=rows, token_budget=4096).table
    expected = plain_loop(tmp_path, TEXTS)
    assert table["failure"].to_pylist() == [None] * len(TEXTS) + ["empty_prompt"]
    assert table["text"].to_pylist()[:-1] == [label for label, _, _ in expected]
    assert table["probability"].to_pylist()[:-1] == pytest.approx([p for _, p, _ in expected], abs=1e-5)


def test_overflow_is_a_reason_not_a_label(bert, samples):
    model = classifier(bert)
    with torch.no_grad():
        model._network.classifier.bias.fill_(float("nan"))
    with pytest.raises(UnusableRow, match="non_finite_logits"):
        model.run(model.encode(samples[:2]))
