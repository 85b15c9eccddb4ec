"use strict";
// Which of the heat maps is shown, and what its shades mean. Knows the tables that stand in the page. Caller: suite.js.

const heat = {
  start() {
    const form = document.getElementById("heat-choices");
    if (!form) return;
    const maps = [...document.querySelectorAll("figure.heat")];
    for (const name of ["spec", "indicator", "columns"]) {
      const values = [...new Set(maps.map((map) => map.dataset[name]))];
      const select = form.elements[name];
      for (const value of values) select.append(new Option(value, value));
      select.closest("label").hidden = values.length < 2;
    }
    form.hidden = [...form.querySelectorAll("label")].every((label) => label.hidden);
    form.addEventListener("change", (event) => heat.show(form, maps, event.target.name));
    heat.show(form, maps, "spec");
  },

  // What a spec does not have can't be chosen: the first map that fits what was chosen last is shown.
  show(form, maps, changed) {
    const names = ["spec", "indicator", "columns"];
    const fits = (map, wanted) => wanted.every((name) => map.dataset[name] === form.elements[name].value);
    const wishes = [names, ["spec", changed], ["spec"], [changed]].map((wish) => wish.filter((name) => names.includes(name)));
    const found = wishes.map((wish) => maps.find((map) => fits(map, wish))).find((map) => map) ?? maps[0];
    for (const map of maps) map.hidden = map !== found;
    for (const name of names) form.elements[name].value = found.dataset[name];
    document.getElementById("heat").dataset.shade = form.elements.shade?.value ?? "rate";
  },
};
