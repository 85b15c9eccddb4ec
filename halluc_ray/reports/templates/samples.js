"use strict";
// The reader's way through the samples: filters, pages, keys, the address. Knows the form and the list on
// the page; what matches is decided by choice.js, what a card shows by answers.js. Caller: page.js.

const PER_PAGE = { few: 5, many: 10 };

const samples = {
  data: null,
  asked: choice.none(),
  found: [],

  start(data) {
    samples.data = data;
    samples.perPage = data.rows.some((row) => row.units.length > 2) ? PER_PAGE.few : PER_PAGE.many;
    samples.form = document.getElementById("filters");
    samples.list = document.getElementById("questions");
    samples.addChoices("system", data.systems, "system");
    samples.addChoices("indicator", data.indicators, "indicator");
    data.slices.forEach((column, at) => samples.addSlice(column, data.rows.map((row) => row.slices[at])));
    samples.form.addEventListener("input", () => samples.ask({ ...samples.fromForm(), page: 1 }));
    samples.form.addEventListener("submit", (event) => event.preventDefault());
    samples.form.addEventListener("reset", (event) => {
      event.preventDefault();
      samples.ask(choice.none());
    });
    for (const [id, step] of [["previous", -1], ["next", 1]]) {
      document.getElementById(id).addEventListener("click", () => samples.turn(step));
    }
    document.addEventListener("keydown", samples.key);
    window.addEventListener("hashchange", samples.follow);
    document.getElementById("explorer").hidden = false;
    samples.follow();
    const place = document.querySelector(":target");
    if (place) place.scrollIntoView();
  },

  addChoices(name, values, key) {
    const select = samples.form.elements[name];
    for (const value of values) select.append(answers.make("option", { value }, value));
    select.closest("label").hidden = values.length < 2;
    select.dataset.key = key;
  },

  addSlice(column, values) {
    const distinct = [...new Set(values)].sort((one, other) => (one === null) - (other === null) || String(one).localeCompare(String(other), "en", { numeric: true }));
    const select = answers.make("select", { "data-slice": column }, answers.make("option", { value: "" }, answers.word("any")));
    for (const value of distinct) {
      const shown = value === null ? answers.word("null_value") : value === "" ? answers.word("empty_value") : value;
      select.append(answers.make("option", { value: value === null ? NULL_SLICE : `=${value}` }, shown));
    }
    document.getElementById("slice-filters").append(answers.make("label", {}, answers.make("span", {}, column), select));
  },

  fromForm() {
    const { text, system, indicator, outcome, sort } = samples.form.elements;
    const slices = Object.create(null);
    for (const select of samples.form.querySelectorAll("[data-slice]")) {
      if (select.value) slices[select.dataset.slice] = select.value === NULL_SLICE ? NULL_SLICE : select.value.slice(1);
    }
    return { text: text.value, system: system.value, indicator: indicator.value, outcome: outcome.value, sort: sort.value, slices };
  },

  toForm() {
    for (const name of ["text", "system", "indicator", "outcome", "sort"]) samples.form.elements[name].value = samples.asked[name];
    for (const select of samples.form.querySelectorAll("[data-slice]")) {
      const value = samples.asked.slices[select.dataset.slice];
      select.value = value === undefined ? "" : value === NULL_SLICE ? NULL_SLICE : `=${value}`;
    }
  },

  ask(asked) {
    samples.asked = asked;
    history.replaceState(null, "", choice.toHash(asked));
    samples.show();
  },

  follow() {
    if (location.hash.startsWith("#samples?") || !samples.found.length) {
      samples.asked = choice.fromHash(location.hash.startsWith("#samples") ? location.hash : "");
      samples.toForm();
      samples.show();
    }
    if (location.hash.startsWith("#samples?")) document.getElementById("samples").scrollIntoView();
  },

  turn(step) {
    samples.ask({ ...samples.asked, page: samples.asked.page + step });
    document.getElementById("explorer").scrollIntoView();
    samples.focus(0);
  },

  show() {
    samples.found = choice.apply(samples.data, samples.asked);
    const pages = Math.max(1, Math.ceil(samples.found.length / samples.perPage));
    samples.asked.page = Math.min(samples.asked.page, pages);
    samples.toForm();
    const first = (samples.asked.page - 1) * samples.perPage;
    const cards = samples.found.slice(first, first + samples.perPage).map((entry) => answers.card(entry, samples.data.slices, samples.asked));
    samples.list.replaceChildren(...cards);
    const units = samples.found.reduce((sum, entry) => sum + entry.units.length, 0);
    const matches = document.getElementById("matches");
    const numbers = { answers: samples.counted("answer", units), questions: samples.counted("question", samples.found.length) };
    matches.replaceChildren(units ? answers.word("matches", numbers) : answers.word("matches_none"));
    const place = { page: samples.asked.page, pages };
    document.getElementById("page-of").replaceChildren(answers.word("page_of", place));
    document.getElementById("previous").disabled = samples.asked.page === 1;
    document.getElementById("next").disabled = samples.asked.page === pages;
  },

  counted(what, number) {
    return number === 1 ? { t: `one_${what}`, a: {} } : { t: `n_${what}s`, a: { n: language.count(number) } };
  },

  cards() {
    return [...samples.list.querySelectorAll(".question")];
  },

  focus(at) {
    const card = samples.cards()[at];
    if (card) card.focus();
  },

  step(by) {
    const cards = samples.cards();
    const now = cards.findIndex((card) => card.contains(document.activeElement));
    const to = now + by;
    const pages = Math.ceil(samples.found.length / samples.perPage);
    if (now >= 0 && to >= cards.length && samples.asked.page < pages) return samples.turn(1);
    if (now >= 0 && to < 0 && samples.asked.page > 1) return samples.turn(-1);
    return samples.focus(Math.max(0, Math.min(to, cards.length - 1)));
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && event.target.name === "text") {
      samples.ask({ ...samples.asked, text: "", page: 1 });
    } else if (!typing && event.key === "/") {
      event.preventDefault();
      samples.form.elements.text.focus();
    } else if (!typing && event.key === "j") samples.step(1);
    else if (!typing && event.key === "k") samples.step(-1);
  },
};
