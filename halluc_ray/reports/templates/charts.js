"use strict";
// The charts, drawn with Observable Plot from the rates that stand in the page. Knows rates and colours by
// name, so that they follow the theme; every number is in a table too. Caller: page.js.

const charts = {
  start() {
    if (!page.rates.length) return;
    for (const name of ["overview", "worst-chart", "every-slice"]) {
      const figure = document.getElementById(name);
      if (figure) figure.hidden = false;
    }
    charts.fillChoices();
    new ResizeObserver(() => charts.draw()).observe(document.querySelector("main"));
  },

  draw() {
    const width = document.querySelector("main").clientWidth;
    if (!page.rates.length || !width) return;
    charts.put("overview", page.indicators.map((name) => charts.overview(name, width)));
    charts.put("worst-chart", page.indicators.map((name) => charts.worst(name, width)));
    charts.put("every-slice", [charts.cells(width)]);
  },

  put(id, drawn) {
    const place = document.querySelector(`#${id} .drawn`);
    if (place) place.replaceChildren(...drawn.filter((chart) => chart !== null));
  },

  short(text, length = 26) {
    const signs = [...text];
    return signs.length <= length ? text : `${signs.slice(0, length - 9).join("")}…${signs.slice(-8).join("")}`;
  },

  top(rates) {
    const most = Math.max(0.01, ...rates.map((rate) => rate.high));
    return Math.min(1, most * 1.06);
  },

  told(rate) {
    const interval = `${language.percent(rate.low)} – ${language.percent(rate.high)}`;
    return `${rate.label}\n${language.percent(rate.rate)}  (${interval})\n${language.words("rows")}: ${language.count(rate.rows)}`;
  },

  dots(rates, { width, rows, marks = [], color = "var(--accent)", label }) {
    const left = Math.min(220, Math.max(90, width * 0.3));
    const chart = Plot.plot({
      width, height: 44 + rows.length * 26, marginLeft: left, marginRight: 24, marginTop: 8, marginBottom: 32,
      style: { fontSize: "13px", background: "none", color: "var(--ink)", fontFamily: "inherit" },
      x: { domain: [0, charts.top(rates)], tickFormat: (share) => `${+(100 * share).toFixed(1)} %`, ticks: Math.max(3, Math.min(8, (width - left) / 80)), grid: true, label: null },
      y: { domain: rows, label: null, tickFormat: (key) => charts.short(charts.names.get(key) || key, left / 7.4), tickSize: 0 },
      marks: [
        Plot.gridX({ stroke: "var(--grid)", strokeOpacity: 1 }),
        ...marks,
        Plot.ruleY(rates, { x1: "low", x2: "high", y: "key", stroke: color, strokeWidth: 3, strokeOpacity: 0.45, strokeLinecap: "round" }),
        Plot.dot(rates, { x: "rate", y: "key", fill: color, stroke: "var(--paper)", strokeWidth: 1.5, r: 5.5 }),
        Plot.tip(rates, Plot.pointerY({ x: "rate", y: "key", title: charts.told, fill: "var(--card)", stroke: "var(--line)" })),
      ],
    });
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", label);
    return chart;
  },

  names: new Map(),

  keyed(rate, key, label) {
    charts.names.set(key, label);
    return { ...rate, key, label };
  },

  figure(name, chart) {
    const title = answers.make("h3", {}, name);
    return answers.make("div", { class: "panel" }, ...(page.indicators.length > 1 ? [title] : []), chart);
  },

  overview(indicator, width) {
    const rates = page.rates
      .filter((rate) => rate.indicator === indicator && !rate.slice && rate.rate !== null)
      .map((rate) => charts.keyed(rate, `system ${rate.system}`, rate.system));
    if (!rates.length || page.systems.length * page.indicators.length < 2) return null;
    const columns = page.indicators.length > 1 && width > 760 ? 2 : 1;
    const panel = Math.floor((width - (columns - 1) * 28) / columns);
    const label = `${indicator}: ${language.words("chart_rates")}`;
    return charts.figure(indicator, charts.dots(rates, { width: panel, rows: rates.map((rate) => rate.key), label }));
  },

  cellName(rate) {
    const shown = (value) => (value === null ? language.words("null_value") : value === "" ? language.words("empty_value") : String(value));
    return Object.values(rate.slice).map(shown).join(" · ");
  },

  worst(indicator, width) {
    const rates = page.worst
      .filter((rate) => rate.indicator === indicator)
      .map((rate, at) => {
        const name = charts.cellName(rate) + (page.systems.length > 1 ? ` · ${rate.system}` : "");
        return charts.keyed(rate, `worst ${at} ${indicator}`, name);
      });
    if (!rates.length) return null;
    const whole = Plot.tickX(rates, { x: "whole", y: "key", stroke: "var(--ink)", strokeWidth: 2, inset: 4 });
    const label = `${indicator}: ${language.words("worst_chart")}`;
    return charts.figure(indicator, charts.dots(rates, { width, rows: rates.map((rate) => rate.key), marks: [whole], label }));
  },

  fillChoices() {
    const cells = page.rates.filter((rate) => rate.slice);
    const figure = document.getElementById("every-slice");
    if (!figure) return;
    const [indicator, slice] = figure.querySelectorAll("select");
    for (const name of page.indicators) indicator.append(answers.make("option", { value: name }, name));
    indicator.closest("label").hidden = page.indicators.length < 2;
    const slices = [...new Set(cells.map((rate) => Object.keys(rate.slice).join(" × ")))];
    for (const name of slices) slice.append(answers.make("option", { value: name }, name));
    slice.closest("label").hidden = slices.length < 2;
    figure.addEventListener("change", () => charts.draw());
  },

  cells(width) {
    const figure = document.getElementById("every-slice");
    if (!figure) return null;
    const [indicator, slice] = [...figure.querySelectorAll("select")].map((select) => select.value);
    const found = page.rates.filter(
      (rate) => rate.slice && rate.rate !== null && rate.indicator === indicator && Object.keys(rate.slice).join(" × ") === slice,
    );
    if (!found.length) return null;
    const label = `${indicator}, ${slice}: ${language.words("slices_means")}`;
    return page.systems.length > 1 ? charts.matrix(found, width, label) : charts.single(found, width, label);
  },

  single(found, width, label) {
    const rates = found.map((rate) => charts.keyed(rate, `cell ${charts.cellName(rate)}`, charts.cellName(rate)));
    return charts.dots(rates, { width, rows: rates.map((rate) => rate.key), label });
  },

  matrix(found, width, label) {
    const rates = found.map((rate) => ({ ...rate, key: charts.cellName(rate), label: `${charts.cellName(rate)}\n${rate.system}` }));
    const systems = page.systems.filter((system) => rates.some((rate) => rate.system === system));
    const left = Math.min(220, Math.max(90, width * 0.25));
    const room = (width - left) / systems.length;
    const ink = (rate) => (rate.rate > 0.45 * charts.top(rates) ? "var(--on-heat)" : "var(--ink)");
    const chart = Plot.plot({
      width, marginLeft: left, marginTop: 8, marginBottom: room < 90 ? 110 : 40, height: 150 + new Set(rates.map((rate) => rate.key)).size * 28,
      style: { fontSize: "12px", background: "none", color: "var(--ink)", fontFamily: "inherit" },
      x: { domain: systems, label: null, tickSize: 0, tickRotate: room < 90 ? -40 : 0, tickFormat: (name) => charts.short(name, room < 90 ? 20 : room / 7) },
      y: { domain: [...new Set(rates.map((rate) => rate.key))], label: null, tickSize: 0, tickFormat: (name) => charts.short(name, left / 7.2) },
      marks: [
        Plot.cell(rates, { x: "system", y: "key", fill: "var(--heat)", fillOpacity: (rate) => rate.rate / charts.top(rates), stroke: "var(--line)", inset: 1, rx: 3 }),
        ...(room > 34 ? [Plot.text(rates, { x: "system", y: "key", text: (rate) => (100 * rate.rate).toFixed(room > 60 ? 1 : 0), fill: ink })] : []),
        Plot.tip(rates, Plot.pointer({ x: "system", y: "key", title: charts.told, fill: "var(--card)", stroke: "var(--line)" })),
      ],
    });
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", label);
    return chart;
  },
};
