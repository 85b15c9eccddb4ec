"use strict";
// One question and the answers to it, as elements. Knows rows; every text becomes a text node, so that no
// text of a corpus or a model can become markup. Caller: samples.js.

const MOST_OPEN = 6;

const answers = {
  make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  },

  word(key, values) {
    const attributes = { "data-t": key };
    if (values) attributes["data-args"] = JSON.stringify(values);
    return answers.make("span", attributes, language.words(key, values));
  },

  spoken(text) {
    return text.replaceAll("_", " ");
  },

  card({ row, units }, columns, asked) {
    const { make, word } = answers;
    const title = make("h3", {}, make("code", {}, row.id.text + (row.id.after ? "…" : "")));
    const where = make("ul", { class: "chips" }, ...row.slices.map((value, at) => answers.chip(columns[at], value)));
    const texts = make("dl", { class: "asked" });
    answers.entry(texts, "asked", row.prompt);
    answers.entry(texts, "reference", row.reference);
    const shown = units.slice(0, MOST_OPEN);
    const left = make("div", { class: "given" }, texts);
    const right = make("div", { class: "made" }, make("div", { class: "answers" }, ...shown.map((unit) => answers.unit(unit, asked))));
    const shape = row.units.length > 1 ? "question" : "question alone";
    const card = make("article", { class: shape, tabindex: "-1" }, make("header", {}, title, where), left, right);
    if (row.context && row.context.text) {
      const open = row.context.text.length < 400 ? { open: "" } : {};
      left.append(make("details", open, make("summary", {}, word("context")), make("p", { dir: "auto" }, ...answers.cut(row.context))));
    }
    const others = row.units.filter((unit) => !shown.includes(unit));
    if (others.length) right.append(answers.others(others, asked));
    return card;
  },

  chip(column, value) {
    const shown = value === null ? answers.word("null_value") : value === "" ? answers.word("empty_value") : value;
    return answers.make("li", {}, answers.make("span", { class: "soft" }, `${column} `), shown);
  },

  entry(list, key, text) {
    if (!text || !text.text) return;
    list.append(answers.make("div", {}, answers.make("dt", {}, answers.word(key)), answers.make("dd", { dir: "auto" }, ...answers.cut(text))));
  },

  cut(text) {
    if (!text.after) return [text.text];
    return [text.text, answers.make("em", { class: "cut" }, answers.word("left_out", { n: language.count(text.after) }))];
  },

  others(units, asked) {
    const { make, word } = answers;
    const details = make("details", { class: "others" }, make("summary", {}, word("others", { n: units.length })));
    details.addEventListener("toggle", () => {
      if (details.children.length === 1) details.append(make("div", { class: "answers" }, ...units.map((unit) => answers.unit(unit, asked))));
    });
    return details;
  },

  unit(unit, asked) {
    const { make, word } = answers;
    const name = make("h4", {}, unit.system, unit.draw ? make("small", {}, " ", word("draw", { n: unit.draw + 1 })) : null);
    const box = make("div", { class: "one", role: "group", "aria-label": unit.system }, name);
    if (unit.answer && unit.answer.text) box.append(make("p", { class: "answer", dir: "auto" }, ...answers.marked(unit, asked)));
    else box.append(make("p", { class: "answer soft" }, word("no_answer")));
    if (unit.failure) box.append(make("p", { class: "reason" }, answers.spoken(unit.failure)));
    box.append(make("ul", { class: "verdicts" }, ...unit.verdicts.map(answers.verdict)));
    return box;
  },

  verdict(verdict) {
    const { make, word } = answers;
    const item = make("li", {}, make("span", { class: `badge ${verdict.outcome}` }, word(verdict.outcome)));
    item.append(" ", make("span", { class: "by" }, page.indicators.length > 1 ? verdict.indicator : ""));
    if (verdict.reason) item.append(" ", make("span", { class: "reason" }, answers.spoken(verdict.reason)));
    if (verdict.against) {
      const against = make("span", { dir: "auto" }, ...answers.cut(verdict.against));
      item.append(make("p", { class: "against" }, make("span", { class: "soft" }, word("held_against"), ": "), against));
    }
    return item;
  },

  // The answer's pieces, evidence in <mark>. Evidence of several indicators may overlap: the text is cut at every end.
  marked(unit, asked) {
    const { text, before, after } = unit.answer;
    const spans = unit.verdicts.filter(({ indicator, start }) => start >= 0 && (!asked.indicator || indicator === asked.indicator));
    const ends = [...new Set([0, text.length, ...spans.flatMap(({ start, stop }) => [start, stop])])].sort((one, other) => one - other);
    const pieces = ends.slice(1).map((stop, at) => {
      const start = ends[at];
      const found = spans.filter((span) => span.start < stop && span.stop > start);
      const piece = text.slice(start, stop);
      return found.length ? answers.make("mark", { title: found.map(({ indicator }) => indicator).join(", ") }, piece) : piece;
    });
    const cut = (key, n) => (n ? [answers.make("em", { class: "cut" }, answers.word(key, { n: language.count(n) }))] : []);
    return [...cut("left_out_before", before), ...pieces, ...cut("left_out", after)];
  },
};
