"""Encoder-decoders: limits, languages, forced tokens, Marian's own tokenizer, noise."""

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from halluc_ray.config import Seq2SeqSystem
from halluc_ray.errors import ModelError, SpecError
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.sampling import gumbel_noise
from halluc_ray.records import Sample

from . import families
from .families import EOS, LETTERS, PAD, TEXTS

NUMERICS = {"device": "cpu", "dtype": "float64", "attention": "sdpa"}
SAMPLES = [Sample(row, f"id{row}", {"prompt": text}) for row, text in enumerate(TEXTS)]
SENTENCES = ["the cat sat on the mat", "we ate an apple", "a dog", "the dog ate the apple on the mat"]


def load(folder: Path, *, template: str = "{prompt}", max_input_tokens: int = 1024, max_new_tokens: int = 8,
         source_lang: str | None = None, target_lang: str | None = None, **decoding):  # fmt: skip
    system = Seq2SeqSystem(
        kind="seq2seq-lm", name="m", checkpoint=str(folder), template=template, max_input_tokens=max_input_tokens,
        source_lang=source_lang, target_lang=target_lang, decoding={"max_new_tokens": max_new_tokens, **decoding},
    )  # fmt: skip
    return load_model(system, folder=folder, numerics=NUMERICS, labels={}, threads=1)


def texts_of(model, samples=SAMPLES, token_budget=200) -> list[str]:
    return generate(model, samples=samples, token_budget=token_budget).table["text"].to_pylist()


@pytest.fixture(scope="module")
def t5(tmp_path_factory) -> Path:
    return families.save_seq2seq(tmp_path_factory.mktemp("t5"), "t5")


@pytest.fixture(scope="module")
def bart(tmp_path_factory) -> Path:
    return families.save_seq2seq(tmp_path_factory.mktemp("bart"), "bart")


def test_long_inputs_keep_their_beginning_and_the_closing_token(t5):
    model = load(t5, max_input_tokens=10)
    rows = model.encode(SAMPLES)
    whole = AutoTokenizer.from_pretrained(t5)(TEXTS)["input_ids"]
    assert [row.truncated for row in rows] == [len(ids) > 10 for ids in whole]
    for row, ids in zip(rows, whole, strict=True):
        assert list(row.tokens) == (ids if len(ids) <= 10 else [*ids[:9], EOS])


def test_relative_positions_have_no_end(t5):
    tokenizer = AutoTokenizer.from_pretrained(t5)
    tokenizer.model_max_length = 12
    tokenizer.save_pretrained(t5)
    sample = Sample(0, "x", {"prompt": "a b c " * 60})
    unit = generate(load(t5), samples=[sample], token_budget=500).table.to_pylist()[0]
    assert (unit["failure"], unit["truncated"], unit["num_prompt_tokens"]) == (None, False, 181)


def test_absolute_positions_end_the_input_and_bound_the_answer(bart):
    sample = Sample(0, "x", {"prompt": "a b c " * 60})
    unit = generate(load(bart), samples=[sample], token_budget=500).table.to_pylist()[0]
    assert (unit["failure"], unit["truncated"], unit["num_prompt_tokens"]) == (None, True, 64)
    table = generate(load(bart, max_new_tokens=64), samples=SAMPLES, token_budget=500).table
    assert (max(table["num_output_tokens"].to_pylist()), set(table["failure"].to_pylist())) == (64, {None})
    with pytest.raises(SpecError, match=r"max_new_tokens: 65 is more than the 64 that the model's decoder has"):
        load(bart, max_new_tokens=65)


def test_an_answer_that_was_cut_is_not_made_to_look_finished(bart):
    config = json.loads((bart / "generation_config.json").read_text())
    assert config["forced_eos_token_id"] == EOS
    table = generate(load(bart, max_new_tokens=4), samples=SAMPLES, token_budget=200).table
    assert "length" in table["finish"].to_pylist()
    assert (
        table.filter([finish == "length" for finish in table["finish"].to_pylist()])["num_output_tokens"][0].as_py()
        == 4
    )


def test_only_what_the_architecture_needs_is_taken_from_the_checkpoint(t5, tmp_path):
    network = AutoModelForSeq2SeqLM.from_pretrained(t5)
    network.generation_config.update(
        num_beams=4, do_sample=True, temperature=2.0, min_length=30, max_length=40, no_repeat_ngram_size=2,
        repetition_penalty=3.0, length_penalty=2.0,
    )  # fmt: skip
    network.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(t5).save_pretrained(tmp_path)
    assert texts_of(load(tmp_path)) == texts_of(load(t5))


def test_a_decoder_without_a_start_is_refused(t5, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((t5 / name).read_bytes())
    config = json.loads((t5 / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"decoder_start_token_id": None}))
    with pytest.raises(ModelError, match=r"neither config.json nor generation_config.json has decoder_start_token_id"):
        load(tmp_path)


@pytest.mark.parametrize("budget", [1, 400])
def test_draws_are_gumbel_max_over_the_bare_network(t5, budget):
    model = load(t5, temperature=0.7, samples=2, seed=5)
    table = generate(model, samples=SAMPLES, token_budget=budget).table
    network = AutoModelForSeq2SeqLM.from_pretrained(t5, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(t5)
    for unit in table.to_pylist():
        inputs = tokenizer(TEXTS[unit["row"]], return_tensors="pt")["input_ids"]
        written = [PAD]
        for step in range(8):
            with torch.no_grad():
                logits = network(input_ids=inputs, decoder_input_ids=torch.tensor([written])).logits[0, -1]
            noise = gumbel_noise(len(logits), seed=5, sample_id=unit["id"], draw=unit["draw"], position=step)
            written.append(int((logits / 0.7 + torch.from_numpy(noise)).argmax()))
            if written[-1] == EOS:
                break
        assert unit["text"] == tokenizer.decode(written, skip_special_tokens=True), (unit["row"], unit["draw"])


def test_stop_strings_cut_the_answer(bart):
    free = texts_of(load(bart))
    stop = next(text.split()[1] for text in free if len(text.split()) > 1)
    table = generate(load(bart, stop=[stop]), samples=SAMPLES, token_budget=200).table
    assert table["text"].to_pylist() == [text.split(stop)[0] for text in free]


def test_an_empty_prompt_fails_its_row_alone(t5):
    rows = [Sample(0, "a", {"prompt": ""}), Sample(1, "b", {}), SAMPLES[2]]
    assert generate(load(t5), samples=rows, token_budget=99).table["failure"].to_pylist() == [
        "empty_prompt", "null_prompt", None,
    ]  # fmt: skip


def save_multilingual(folder: Path) -> Path:
    """A tiny mBART-50 with its own tokenizer: the input starts with its language, the output with the target's."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = transformers.MBart50Tokenizer(vocab=[*pieces, *((f"▁{letter}", -1.0) for letter in LETTERS)])
    tokenizer.save_pretrained(folder)
    network = transformers.MBartForConditionalGeneration(
        transformers.MBartConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, vocab_size=len(tokenizer),
            decoder_start_token_id=EOS, tie_word_embeddings=False,
        )
    )  # fmt: skip
    families.save_network(folder, network, seed=11)
    return folder


def test_languages_are_those_of_the_tokenizer(tmp_path):
    folder = save_multilingual(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder, src_lang="de_DE")
    network = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float64).eval()
    network.generation_config.forced_eos_token_id = None
    french = tokenizer.convert_tokens_to_ids("fr_XX")
    expected = []
    for text in TEXTS:
        ids = network.generate(
            **tokenizer(text, return_tensors="pt"), forced_bos_token_id=french, max_new_tokens=8, do_sample=False
        )[0].tolist()
        assert ids[:2] == [EOS, french]
        expected.append(tokenizer.decode(ids, skip_special_tokens=True))
    model = load(folder, source_lang="de_DE", target_lang="fr_XX")
    assert tokenizer.decode(model.encode(SAMPLES[:1])[0].tokens) == tokenizer.decode(tokenizer(TEXTS[0])["input_ids"])
    assert texts_of(model) == expected
    assert texts_of(load(folder, source_lang="en_XX", target_lang="de_DE")) != expected


def test_languages_that_do_not_fit_are_refused(tmp_path, t5):
    folder = save_multilingual(tmp_path)
    with pytest.raises(
        SpecError, match=r"systems\[m\]\.target_lang: 'fr' is none of the checkpoint's 52 languages.*af_ZA"
    ):
        load(folder, source_lang="de_DE", target_lang="fr")
    with pytest.raises(SpecError, match=r"systems\[m\]\.target_lang: null, and the checkpoint writes 52 languages"):
        load(folder, source_lang="de_DE")
    with pytest.raises(SpecError, match=r"source_lang: 'de', and the checkpoint's tokenizer has no language codes"):
        load(t5, source_lang="de")


@pytest.fixture(scope="module")
def marian(tmp_path_factory) -> Path:
    """A tiny Marian with sentencepiece files and no tokenizer.json, as its checkpoints are."""
    folder = tmp_path_factory.mktemp("marian")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20), model_prefix=str(folder / "source"), vocab_size=22, minloglevel=2
    )
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(k) for k in range(3, pieces.get_piece_size())), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    config = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    pad = len(words) - 1
    network = transformers.MarianMTModel(
        transformers.MarianConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=32, vocab_size=len(words), pad_token_id=pad,
            decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0, tie_word_embeddings=False,
        )
    )  # fmt: skip
    network.generation_config.bad_words_ids = [[pad]]
    families.save_network(folder, network, seed=1)
    return folder


def test_marian_s_own_tokenizer_and_its_word_that_is_none(marian):
    tokenizer = AutoTokenizer.from_pretrained(marian)
    network = AutoModelForSeq2SeqLM.from_pretrained(marian, dtype=torch.float64).eval()
    network.generation_config.forced_eos_token_id = None
    pad, expected = tokenizer.pad_token_id, []
    for text in SENTENCES:
        ids = network.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=8, do_sample=False)[0].tolist()
        assert pad not in ids[1:]
        expected.append(tokenizer.decode(ids, skip_special_tokens=True))
    samples = [Sample(row, str(row), {"prompt": text}) for row, text in enumerate(SENTENCES)]
    assert [texts_of(load(marian), samples, budget) for budget in (1, 60, 4096)] == [expected] * 3
    assert len(set(expected)) > 1


def test_marian_s_long_inputs_are_cut(marian):
    sample = Sample(0, "x", {"prompt": "the cat sat on the mat " * 9})
    row = load(marian, max_input_tokens=12).encode([sample])[0]
    whole = AutoTokenizer.from_pretrained(marian)(sample.fields["prompt"])["input_ids"]
    assert (row.truncated, list(row.tokens)) == (True, [*whole[:11], 0])
