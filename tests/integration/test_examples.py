"""The examples as they are written, on tiny stand-ins of their checkpoints: imported, run, held to a plain loop."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from typer.testing import CliRunner

import halluc_ray
from halluc_ray.cli.app import app
from halluc_ray.config import RunSpec
from halluc_ray.evaluation import Evaluation, evaluate, find_samples
from tests import stand_ins

EXAMPLES = Path(__file__).parents[2] / "examples"
NUM_ROWS = 20
MOODS = ("negative", "positive")


def imported(example: str, records: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Through the command that the example names, from a file in place of the hub."""
    source = folder / "records.jsonl"
    source.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    comment = re.findall(r"^#   ?(.*)$", (EXAMPLES / example).read_text(encoding="utf-8"), re.MULTILINE)
    command = shlex.split(" ".join(comment).split("halluc-ray run")[0].replace("\\", ""))
    assert command[:2] == ["halluc-ray", "import"]
    kept = [word for at, word in enumerate(command) if not {"--config", "--split"} & {word, command[at - 1]}]
    arguments = [str(source), str(folder / "corpus"), *kept[4:]]
    done = CliRunner().invoke(app, ["import", *arguments])
    assert done.exit_code == 0, done.output
    return folder / "corpus"


def run(example: str, corpus: Path, checkpoints: Sequence[Path], output: Path) -> Evaluation:
    """The example's spec with its places replaced, in float64."""
    spec = yaml.safe_load((EXAMPLES / example).read_text(encoding="utf-8"))
    spec["corpus"]["uri"], spec["output"] = str(corpus), str(output)
    for system, checkpoint in zip(spec["systems"], checkpoints, strict=True):
        system.pop("revision", None)
        system |= {"checkpoint": str(checkpoint), "dtype": "float64"}
    return evaluate(RunSpec.model_validate(spec | {"engine": {"device": "cpu", "shard_rows": 8, "actors": 1}}))


def outcomes(evaluation: Evaluation, system: str) -> dict[str, int]:
    """Outcomes over all rows of one system, those that occur."""
    [rate] = [rate for rate in evaluation.report["rates"] if rate["system"] == system and not rate["slice"]]
    names = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")
    assert sum(rate[name] for name in names) == rate["rows"] == NUM_ROWS
    return {name: rate[name] for name in names if rate[name]}


def responses(evaluation: Evaluation, system: str) -> dict[str, str]:
    found = find_samples(evaluation.run_uri, where=f"system = '{system}'", limit=NUM_ROWS + 1)
    return dict(zip(found["id"].to_pylist(), found["response"].to_pylist(), strict=True))


def written(auto: Any, folder: Path, texts: Mapping[str, str], *, limit: int, new_tokens: int) -> dict[str, str]:
    """What a plain loop writes, one row at a time; a causal model's answer follows its prompt."""
    tokenizer, network = AutoTokenizer.from_pretrained(folder), auto.from_pretrained(folder, dtype=torch.float64).eval()
    network.generation_config.forced_eos_token_id = None
    found = {}
    for key, text in texts.items():
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit, return_token_type_ids=False)
        with torch.inference_mode():
            ids = network.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, num_beams=1)[0].tolist()
        start = 0 if network.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        found[key] = tokenizer.decode(ids[start:], skip_special_tokens=True)
    return found


def judged(texts: Mapping[str, str], contexts: Mapping[str, str]) -> dict[str, int]:
    table = pa.table({"response": list(texts.values()), "context": [contexts[key] for key in texts]})
    return Counter(halluc_ray.score(table, [{"kind": "unsupported_number"}])["unsupported_number"].to_pylist())


def test_weibo_sentiment(tmp_path: Path, ray_here: None) -> None:
    records = [
        {
            "label": k % 2,
            "review": "今天的天气真好，" * (k % 5) + f"第{k}次来北京[{'太开心' if k % 2 else '泪'}] http://t.cn/{k:x}",
        }
        for k in range(NUM_ROWS)
    ]
    texts = [record["review"] for record in records]
    folders = [
        save(tmp_path / name, texts=texts)
        for name, save in (("bert", stand_ins.save_bert), ("distilbert", stand_ins.save_distilbert))
    ]
    corpus = imported("weibo_sentiment.yaml", records, tmp_path)
    evaluation = run("weibo_sentiment.yaml", corpus, folders, tmp_path / "out")
    rows = pq.read_table(corpus).to_pylist()
    for system, folder in zip(("bert-finance", "distilbert-multilingual"), folders, strict=True):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        network = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
        labels = {}
        for row in rows:
            with torch.inference_mode():
                logits = network(
                    **tokenizer(row["prompt"], return_tensors="pt", truncation=True, max_length=128)
                ).logits
            labels[row["id"]] = network.config.id2label[int(logits.argmax())]
        assert responses(evaluation, system) == labels
        assert len(set(labels.values())) > 1
        wrong = sum(labels[row["id"]] != MOODS[int(row["reference"])] for row in rows)
        assert outcomes(evaluation, system) == {"hallucinated": wrong, "supported": NUM_ROWS - wrong}


def test_translate_en_zh(tmp_path: Path, ray_here: None) -> None:
    records = [
        {
            "translation": {
                "en": f"The {k}th bridge cost ${k}.5 million, {3 * k} % more.",
                "zh": f"第{k}座桥耗资{k}50万美元，多了百分之{3 * k}。",
            }
        }
        for k in range(NUM_ROWS)
    ]
    sides = [text for record in records for text in record["translation"].values()]
    spec = yaml.safe_load((EXAMPLES / "translate_en_zh.yaml").read_text(encoding="utf-8"))
    gpt2, _ = spec["systems"]
    shots = [(shot["fields"]["prompt"], shot["answer"]) for shot in gpt2["shots"]]
    fixed = "".join(f"English: {prompt}\nChinese:{answer}\n\n" for prompt, answer in shots)
    folders = [
        stand_ins.save_gpt2(tmp_path / "gpt2", texts=[*sides, fixed]),
        stand_ins.save_marian(tmp_path / "marian", texts=sides),
    ]
    corpus = imported("translate_en_zh.yaml", records, tmp_path)
    evaluation = run("translate_en_zh.yaml", corpus, folders, tmp_path / "out")
    sources = {row["id"]: row["prompt"] for row in pq.read_table(corpus).to_pylist()}
    prompts: list[Callable[[str], str]] = [
        lambda source: f"{fixed}English: {source}\nChinese:",
        lambda source: f">>cmn_Hans<< {source}",
    ]
    autos = (AutoModelForCausalLM, AutoModelForSeq2SeqLM)
    for system, auto, folder, prompt in zip(spec["systems"], autos, folders, prompts, strict=True):
        texts = written(
            auto, folder, {key: prompt(source) for key, source in sources.items()}, limit=512, new_tokens=96
        )
        texts = {key: text.split("\n")[0] for key, text in texts.items()} if system is gpt2 else texts
        assert responses(evaluation, system["name"]) == texts
        assert len(set(texts.values())) > 3
        assert outcomes(evaluation, system["name"]) == judged(texts, sources)


def test_summarise_news(tmp_path: Path, ray_here: None) -> None:
    records = [
        {
            "id": f"n{k:03}",
            "article": f"On day {k} the mayor opened {k + 2} schools. " * (1 + 3 * (k % 6)),
            "highlights": f"{k + 2} schools.",
        }
        for k in range(NUM_ROWS)
    ]
    articles = {record["id"]: record["article"] for record in records}
    folder = stand_ins.save_t5(tmp_path / "t5", texts=["summarize: ", *articles.values()])
    corpus = imported("summarise_news.yaml", records, tmp_path)
    evaluation = run("summarise_news.yaml", corpus, [folder], tmp_path / "out")
    prompts = {key: f"summarize: {article}" for key, article in articles.items()}
    texts = written(AutoModelForSeq2SeqLM, folder, prompts, limit=512, new_tokens=80)
    assert responses(evaluation, "t5-small") == texts
    assert len(set(texts.values())) > 3
    assert outcomes(evaluation, "t5-small") == judged(texts, articles)
    [facts] = evaluation.report["systems"]
    assert facts["truncated"] == sum(len(prompt) + 1 > 512 for prompt in prompts.values()) > 0
