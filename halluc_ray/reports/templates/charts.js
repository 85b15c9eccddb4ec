"use strict";
// The charts, drawn with Observable Plot from the rates that stand in the page. Knows rates and colours by
// name, so that they follow the theme; every number is in a table too. Caller: page.js.

const MATRIX_ROWS = 20;
const MOST_ACROSS = 16;

const charts = {
  order: [],

  start() {
    if (!page.rates.length) return;
    for (const name of ["overview", "worst-chart", "every-slice"]) {
      const figure = document.getElementById(name);
      if (figure) figure.hidden = false;
    }
    charts.order = charts.bySize();
    charts.fillChoices();
    new ResizeObserver(() => charts.draw()).observe(document.getElementById("glance"));
  },

  draw() {
    const width = document.getElementById("glance").clientWidth;
    if (!page.rates.length || !width) return;
    charts.put("overview", page.indicators.map((name) => charts.overview(name, width)));
    charts.put("worst-chart", page.indicators.map((name) => charts.worst(name, width)));
    charts.put("every-slice", [charts.cells(width)]);
  },

  // Systems, the highest rate under the first indicator on top: one order for the charts of all indicators.
  bySize() {
    const rate = new Map(page.rates.filter((one) => !one.slice && one.indicator === page.indicators[0]).map((one) => [one.system, one.rate]));
    return [...page.systems].sort((one, other) => (rate.get(other) ?? -1) - (rate.get(one) ?? -1));
  },

  put(id, drawn) {
    const place = document.querySelector(`#${id} .drawn`);
    if (place) place.replaceChildren(...drawn.filter((chart) => chart !== null));
  },

  top(rates) {
    const most = Math.max(0.01, ...rates.map((rate) => rate.high));
    return Math.min(1, most * 1.06);
  },

  told(rate) {
    const interval = `${language.percent(rate.low)} – ${language.percent(rate.high)}`;
    return `${rate.label}\n${language.percent(rate.rate)}  (${interval})\n${language.words("rows")}: ${language.count(rate.rows)}`;
  },

  dots(rates, { width, rows, marks = [], top = charts.top(rates), label }) {
    const color = "var(--accent)";
    const left = Math.min(260, Math.max(100, width * 0.3));
    const labels = lettering.fit(rates.map((rate) => rate.label), left / 8.4);
    const names = new Map(rates.map((rate) => [rate.key, labels.get(rate.label)]));
    const chart = Plot.plot({
      width, height: 44 + rows.length * (rows.length > 40 ? 19 : 26), marginLeft: left, marginRight: 24, marginTop: rows.length > 20 ? 28 : 8, marginBottom: 32,
      style: { fontSize: "13px", background: "none", color: "var(--ink)", fontFamily: "inherit" },
      x: { domain: [0, top], axis: rows.length > 20 ? "both" : "bottom", tickFormat: (share) => `${+(100 * share).toFixed(1)} %`, ticks: Math.max(3, Math.min(8, (width - left) / 80)), grid: true, label: null },
      y: { domain: rows, label: null, tickFormat: (key) => names.get(key), tickSize: 0 },
      marks: [
        Plot.gridX({ stroke: "var(--grid)", strokeOpacity: 1 }),
        ...marks,
        Plot.ruleY(rates, { x1: "low", x2: "high", y: "key", stroke: color, strokeWidth: 3, strokeOpacity: 0.45, strokeLinecap: "round" }),
        Plot.dot(rates, { x: "rate", y: "key", fill: color, stroke: "var(--paper)", strokeWidth: 1.5, r: 5.5 }),
        Plot.tip(rates, Plot.pointerY({ x: "rate", y: "key", title: charts.told, fill: "var(--card)", stroke: "var(--line)" })),
      ],
    });
    return lettering.named(chart, label);
  },

  figure(name, chart) {
    const title = answers.make("h3", {}, name);
    return answers.make("div", { class: "panel" }, ...(page.indicators.length > 1 ? [title] : []), chart);
  },

  overview(indicator, width) {
    const rates = page.rates
      .filter((rate) => rate.indicator === indicator && !rate.slice && rate.rate !== null)
      .map((rate) => ({ ...rate, key: rate.system, label: rate.system }));
    rates.sort((one, other) => charts.order.indexOf(one.system) - charts.order.indexOf(other.system));
    if (!rates.length || page.systems.length * page.indicators.length < 2) return null;
    const columns = Math.max(1, Math.min(page.indicators.length, page.indicators.length > 4 ? 3 : 2, Math.floor(width / 320)));
    const panel = Math.floor((width - (columns - 1) * 28) / columns);
    const label = `${indicator}: ${language.words("chart_rates")}`;
    const top = charts.top(page.rates.filter((rate) => !rate.slice && rate.rate !== null));
    return charts.figure(indicator, charts.dots(rates, { width: panel, rows: rates.map((rate) => rate.key), top, label }));
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
        return { ...rate, key: at, label: name };
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
    const rates = found.map((rate, at) => ({ ...rate, key: at, label: charts.cellName(rate) }));
    return charts.dots(rates, { width, rows: rates.map((rate) => rate.key), label });
  },

  // Systems stand across while they fit and are fewer than the cells; else the cells do.
  matrix(found, width, label) {
    const cells = [...new Set(found.map(charts.cellName))];
    const systems = charts.order.filter((system) => found.some((rate) => rate.system === system));
    const turned = systems.length > Math.max(MOST_ACROSS, cells.length);
    const left = Math.min(240, Math.max(80, width * 0.24));
    const most = Math.max(2, Math.floor((width - left) / 34));
    const across = (turned ? cells : systems).slice(0, most);
    const down = (turned ? systems : cells).slice(0, turned ? 3 * MATRIX_ROWS : MATRIX_ROWS);
    const rates = found
      .map((rate) => ({ ...rate, cell: charts.cellName(rate), label: `${charts.cellName(rate)} · ${rate.system}` }))
      .map((rate) => ({ ...rate, x: turned ? rate.cell : rate.system, y: turned ? rate.system : rate.cell }))
      .filter((rate) => across.includes(rate.x) && down.includes(rate.y));
    return lettering.named(charts.grid(rates, { width, left, across, down }), label);
  },

  grid(rates, { width, left, across, down }) {
    const room = Math.min(160, (width - left) / across.length);
    const slanted = room < 110;
    const above = lettering.fit(across, slanted ? Math.min(22, width / 28) : room / 8);
    const beside = lettering.fit(down, left / 8);
    const top = charts.top(rates);
    const step = down.length > 40 ? 20 : 30;
    return Plot.plot({
      width: Math.min(width, left + room * across.length + 68), height: (slanted ? 126 : 36) + down.length * step,
      marginLeft: left, marginRight: slanted ? 60 : 8, marginTop: slanted ? 120 : 30, marginBottom: 6,
      style: { fontSize: "12px", background: "none", color: "var(--ink)", fontFamily: "inherit" },
      x: { domain: across, axis: "top", label: null, tickSize: 0, tickRotate: slanted ? -40 : 0, tickFormat: (name) => above.get(name) },
      y: { domain: down, label: null, tickSize: 0, tickFormat: (name) => beside.get(name) },
      marks: [
        Plot.cell(rates, { x: "x", y: "y", fill: "var(--heat)", fillOpacity: (rate) => rate.rate / top, stroke: "var(--line)", inset: 1, rx: 3 }),
        ...(room > 26 ? charts.numbers(rates, room, top) : []),
        Plot.tip(rates, Plot.pointer({ x: "x", y: "y", title: charts.told, fill: "var(--card)", stroke: "var(--line)" })),
      ],
    });
  },

  // Numbers in two inks, so that each can be read on its own shade.
  numbers(rates, room, top) {
    const text = (rate) => (100 * rate.rate).toFixed(room > 60 ? 1 : 0);
    const dark = (rate) => rate.rate / top > 0.6;
    return [
      Plot.text(rates.filter((rate) => !dark(rate)), { x: "x", y: "y", text, fill: "var(--ink)" }),
      Plot.text(rates.filter(dark), { x: "x", y: "y", text, fill: "var(--on-heat)" }),
    ];
  },
};
