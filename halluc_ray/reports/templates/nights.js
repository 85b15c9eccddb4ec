"use strict";
// Filters over the table of nights, kept in the page's address. Knows the rows of the table and the history.
// Caller: suite.js.

const nights = {
  start() {
    const form = document.getElementById("night-filters");
    if (!form) return;
    form.hidden = false;
    form.elements.spec.closest("label").hidden = past.all.specs.length < 2;
    form.elements.system.closest("label").hidden = form.elements.system.options.length < 3;
    const wanted = new URLSearchParams(location.hash.startsWith("#nights?") ? location.hash.slice(8) : "");
    for (const [name, value] of wanted) if (form.elements[name]) form.elements[name].value = value;
    form.addEventListener("change", () => nights.filter(form));
    form.addEventListener("reset", () => setTimeout(() => nights.filter(form)));
    form.addEventListener("submit", (event) => event.preventDefault());
    nights.filter(form, !wanted.size);
  },

  filter(form, quiet = false) {
    const system = String(form.elements.system.selectedIndex - 1);
    const wanted = Object.fromEntries(["spec", "system", "verdict"].map((name) => [name, form.elements[name].value]));
    const rows = [...document.querySelectorAll("#night-table tbody tr")];
    let shown = 0;
    for (const row of rows) {
      const { spec, verdict, systems } = row.dataset;
      const fits = (!wanted.spec || spec === wanted.spec) && (!wanted.verdict || verdict === wanted.verdict);
      row.hidden = !(fits && (!wanted.system || systems.split(" ").includes(system)));
      shown += !row.hidden;
    }
    nights.told = { n: language.count(shown), all: language.count(rows.length) };
    nights.count();
    const kept = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    if (!quiet) window.history.replaceState(null, "", kept.size ? `#nights?${kept}` : "#nights");
  },

  count() {
    const place = document.getElementById("night-count");
    if (place && nights.told) place.textContent = language.words("n_of_nights", nights.told);
  },
};
