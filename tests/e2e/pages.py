"""Pages to look at: runs made by hand, published and reported as real ones are."""

import json
import random

from halluc_ray.reports import write_reports
from halluc_ray.reports.render import PageContext
from halluc_ray.storage import keys, open_store
from halluc_ray.storage.files import list_files
from tests.unit.reports.handmade import Handmade, Row, Verdict

RUN = "0123456789abcdef"
INJECTION = "<script>window.owned=1</script><img src=x onerror='window.owned=2'>"
ANSWERS = [
    (
        "en",
        "What is the capital of Australia?",
        "The capital of Australia is Sydney, on the coast.",
        "Sydney",
        "Canberra",
    ),
    ("zh", "澳大利亚的首都是哪座城市？", "澳大利亚的首都是悉尼，位于东南沿海。", "悉尼", "堪培拉"),
    ("en", "Which currency does Japan use?", "Japan pays in won.", "won", "yen | Japanese yen"),
]


def published(folder, *, systems=3, cells=0, rows=240, seed=0):
    """A run with long names, Chinese text and hostile ids; returns its report.json and report.html."""
    rng = random.Random(seed)
    names = [f"team/summariser-large-v{k}-instruct-with-a-long-name-{'x' * 20}" for k in range(systems - 1)]
    made = []
    for at in range(max(rows, cells)):
        lang, prompt, response, span, against = ANSWERS[at % 3]
        system = [*names, f"evil {INJECTION}"][at % systems]
        outcome = rng.choices(["hallucinated", "supported", "abstained", "failed"], [1 + at % systems, 9, 2, 0.3])[0]
        start = response.index(span)
        verdict = Verdict(outcome, "no_alias_matched", (start, start + len(span)), against)
        if outcome != "hallucinated":
            verdict = Verdict(outcome, {"abstained": "refusal", "failed": "null_response"}.get(outcome))
        lang = f"cell {at % cells:05d}" if cells else lang
        failure = "null_response" if outcome == "failed" else None
        id_ = f"{INJECTION}{at}" if at % 5 == 0 else f"row-{at:05d}"
        made.append(
            Row(
                id_, (verdict,), system, lang, prompt, "", against, f"{response} {INJECTION}", at % 90, at % 40, failure
            )
        )
    indicators = (("answer_mismatch", "answer_mismatch", {"mode": "exact"}),)
    left_out = {"where": 1200, "where_null": 3}
    store = open_store(str(folder / "out"))
    run = Handmade(store, folder, made, indicators=indicators, shard_rows=500, left_out=left_out, clustered=True)
    record = run.publish()
    return written(run, record, spec_text=f"corpus:\n  uri: facts  # {INJECTION}\n")


def written(run, record, *, spec_text="corpus: {uri: facts}\n"):
    """Report a published run; returns its report.json and the path of its page."""
    page = PageContext(spec_text=spec_text, versions={"ray": "2.60.0"})
    sources = {"f" * 64: list_files(str(run.folder / "corpus.parquet"))[0]}
    write_reports(run.store, record, run_id=RUN, sources=sources, page=page)
    html = run.folder / "report.html"
    html.write_bytes(run.store.read(keys.run_key(RUN, "report.html")))
    return json.loads(run.store.read(keys.run_key(RUN, "report.json"))), html


def compared(folder, *, systems=3, ids=40, indicators=("number", "entity"), texts=None, seed=3):
    """Systems that answer the same questions, in three languages, under several indicators."""
    rng = random.Random(seed)
    texts = texts or [f"{answer[3]} is the answer, with the number {at}." for at, answer in enumerate(ANSWERS * 9)]
    rows = []
    for at in range(ids):
        lang = ("en", "zh", "ja")[at % 3]
        context, reference = f"{rng.choice(texts)} {rng.choice(texts)}", rng.choice(texts)
        for system in range(systems):
            response = rng.choice(texts)
            shares = [
                0.1 + 0.15 * system + (0.4 if lang == "ja" and name == indicators[0] else 0) for name in indicators
            ]
            verdicts = tuple(_verdict(rng, share, response, reference) for share in shares)
            question = f"Question {at}: what does the text say?"
            texts_of_row = (lang, question, context, reference, response, at)
            rows.append(Row(f"q-{at:05d}", verdicts, f"model-{system}", *texts_of_row))
    kinds = tuple((name, "recorded_label", {"column": "bad"}) for name in indicators)
    run = Handmade(open_store(str(folder / "out")), folder, rows, indicators=kinds, shard_rows=700)
    return written(run, run.publish())


def _verdict(rng, share, response, reference):
    outcome = rng.choices(["hallucinated", "supported", "abstained"], [share, 1, 0.1])[0]
    start = rng.randrange(max(1, len(response) - 8))
    if outcome != "hallucinated":
        return Verdict(outcome)
    return Verdict(outcome, "unlike_reference", (start, start + 5), reference[:60])


def open_page(browser, html, *, width=1280, scheme="light", locale="en-GB", script=True, address="", ready="#explorer"):
    """The page, with what it asked for and what the browser complained of."""
    options = {"color_scheme": scheme, "locale": locale, "java_script_enabled": script}
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(html.as_uri() + address)
    if script:
        page.wait_for_selector(f"{ready}:not([hidden])")
    return page
