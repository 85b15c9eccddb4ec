"use strict";
// Names that fit beside a chart, and the one name of a chart. Knows texts and their room. Callers: charts.js,
// trend.js.

const lettering = {
  short(text, length) {
    const signs = [...text];
    const room = Math.max(8, Math.floor(length));
    return signs.length <= room ? text : `${signs.slice(0, room - 6).join("")}…${signs.slice(-5).join("")}`;
  },

  // Labels that fit: where names are long, what all of them begin or end with is left out, then their middle.
  fit(names, length) {
    const distinct = [...new Set(names)];
    if (distinct.length < 2 || distinct.every((name) => name.length <= length)) {
      return new Map(distinct.map((name) => [name, lettering.short(name, length)]));
    }
    const [one] = distinct;
    const shared = (texts) => {
      const [text, ...rest] = texts;
      let at = 0;
      while (at < text.length && rest.every((other) => other[at] === text[at])) at += 1;
      return at;
    };
    const head = shared(distinct);
    const tail = shared(distinct.map((name) => [...name.slice(head)].reverse().join("")));
    const surplus = Math.max(...distinct.map((name) => name.length)) - Math.floor(length) + 2;
    const word = one.slice(0, head).slice(Math.max(0, surplus)).search(/[-\/_ .:·]/);
    const first = word < 0 ? Math.min(head, surplus) : surplus + word;
    const last = Math.min(tail, Math.max(0, surplus - first));
    const cut = (name) => `${first > 1 ? "…" : ""}${name.slice(first > 1 ? first : 0, name.length - last)}${last ? "…" : ""}`;
    return new Map(distinct.map((name) => [name, lettering.short(cut(name), length)]));
  },

  // One image with one name: the names that Plot gives to its marks say nothing to a listener.
  named(chart, label) {
    for (const mark of chart.querySelectorAll("[aria-label]")) mark.removeAttribute("aria-label");
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", label);
    return chart;
  },
};
