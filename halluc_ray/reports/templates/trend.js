"use strict";
// The trend, drawn with Observable Plot: for each indicator the rate of every system by night, one of them in full,
// and a strip that tells each night's verdict. Every number is in a table too. Caller: suite.js.

const LANES = ["FAIL", "INCONCLUSIVE", "PASS", "missed"];
const MOST_NAMED = 12;
const FEW_NIGHTS = 60;

const trend = {
  width: 0,

  start() {
    const place = document.getElementById("trend-drawn");
    if (!place) return;
    place.hidden = false;
    const [spec] = document.querySelectorAll("#trend-choices select");
    for (const { name } of past.all.specs) spec.append(new Option(name, name));
    spec.closest("label").hidden = past.all.specs.length < 2;
    trend.fillSystems();
    document.getElementById("trend-choices").addEventListener("change", (event) => {
      if (event.target === spec) trend.fillSystems();
      trend.draw();
    });
    document.getElementById("trend-numbers").addEventListener("toggle", () => trend.numbers());
    new ResizeObserver(() => {
      if (document.getElementById("trend-charts").clientWidth !== trend.width) trend.draw();
    }).observe(document.getElementById("trend"));
  },

  chosen() {
    const [name, system, days] = [...document.querySelectorAll("#trend-choices select")].map((select) => select.value);
    const spec = past.spec(name);
    return { spec, system, since: past.since(spec, Number(days)) };
  },

  fillSystems() {
    const [name, system] = document.querySelectorAll("#trend-choices select");
    const spec = past.spec(name.value);
    const names = [...new Set(spec.series.map((series) => series.system))];
    system.replaceChildren(...names.map((each) => new Option(each, each)));
    system.value = past.worst(spec);
    system.closest("label").hidden = names.length < 2;
  },

  draw() {
    const place = document.getElementById("trend-charts");
    if (!place || !place.clientWidth) return;
    const { spec, system, since } = trend.chosen();
    trend.width = place.clientWidth;
    const indicators = [...new Set(spec.series.map((series) => series.indicator))];
    const few = spec.dates.filter((date) => past.at(date) >= since).length <= FEW_NIGHTS;
    const columns = indicators.length > 1 && few && place.clientWidth > 900 ? 2 : 1;
    const width = Math.floor((place.clientWidth - (columns - 1) * 32) / columns);
    place.replaceChildren(...indicators.map((indicator) => trend.panel({ spec, system, since, indicator, width })));
    trend.legend(spec);
    trend.numbers();
    performance.mark("drawn");
  },

  legend(spec) {
    const show = (name, is) => (document.querySelector(`.trend-legend .${name}`).hidden = !is);
    show("key-several", new Set(spec.series.map((series) => series.system)).size > 1);
    show("key-held", spec.baseline !== null);
    show("key-released", past.all.releases.length > 0);
    show("key-failed", spec.verdicts.some((verdict) => past.all.verdicts[verdict] === "FAIL"));
    show("key-missed", spec.missed.length > 0);
  },

  panel({ spec, system, since, indicator, width }) {
    const missed = spec.missed.filter((date) => past.at(date) >= since);
    const lines = spec.series
      .filter((series) => series.indicator === indicator)
      .map((series) => ({ series, points: past.points(spec, series, since) }))
      .filter(({ points }) => points.length);
    const mine = lines.find(({ series }) => series.system === system);
    const figure = document.createElement("figure");
    figure.className = "panel";
    const title = document.createElement("h3");
    title.textContent = indicator;
    figure.append(title);
    if (mine) {
      const frame = trend.frame(lines, since, width);
      figure.append(trend.chart({ spec, mine, lines, missed, frame }), trend.strip({ spec, since, missed, frame }));
    }
    return figure;
  },

  frame(lines, since, width) {
    const points = lines.flatMap((line) => line.points);
    const highest = Math.max(0.01, ...points.map((point) => point.rate ?? 0));
    const dates = points.map((point) => Number(point.at));
    const others = lines.length > 1 && lines.length <= MOST_NAMED && width > 480;
    const [first, last] = [Math.min(...dates), Math.max(...dates)];
    const margin = Math.max(DAY_MS / 2, (last - first) / 60);
    return {
      width, left: 48, right: others ? Math.min(150, width * 0.26) : 16, named: others,
      domain: [new Date(first - margin), new Date(last + margin)], top: Math.min(1, highest * 1.12),
    };
  },

  chart({ spec, mine, lines, missed, frame }) {
    const baseline = mine.series.baseline < 0 ? null : mine.series.baseline / past.all.unit;
    const tall = Math.max(200, Math.min(300, frame.width * 0.42));
    const drawn = past.broken(mine.points, missed);
    const top = Math.min(1, Math.max(frame.top, ...mine.points.map((point) => (point.high ?? 0) * 1.04)));
    const releases = past.all.releases
      .map(([date, name]) => ({ at: past.at(date), name }))
      .filter(({ at }) => at >= frame.domain[0] && at <= frame.domain[1]);
    const others = lines.filter((line) => line !== mine);
    const chart = Plot.plot({
      width: frame.width, height: tall, marginLeft: frame.left, marginRight: frame.right, marginTop: releases.length ? 26 : 12, marginBottom: 6,
      style: { fontSize: "12.5px", background: "none", color: "var(--ink)", fontFamily: "inherit" },
      x: { type: "utc", domain: frame.domain, axis: null },
      y: { domain: [0, top], label: null, ticks: 5, tickFormat: (share) => `${+(100 * share).toFixed(1)} %`, tickSize: 0 },
      marks: [
        Plot.gridY({ stroke: "var(--grid)", strokeOpacity: 1, ticks: 5 }),
        Plot.ruleX(releases, { x: "at", stroke: "var(--cool)", strokeWidth: 1.5, strokeDasharray: "2 3" }),
        Plot.text(releases, { x: "at", frameAnchor: "top", dy: -14, text: "name", fill: "var(--cool)" }),
        ...others.map(({ points }) => Plot.lineY(past.broken(points, missed), { x: "at", y: "rate", stroke: "var(--edge)", strokeOpacity: 0.55, strokeWidth: points.length > FEW_NIGHTS ? 0.7 : 1.2 })),
        ...(baseline === null ? [] : [Plot.ruleY([baseline], { stroke: "var(--ink)", strokeDasharray: "6 4", strokeWidth: 1.3, strokeOpacity: 0.75 })]),
        Plot.areaY(drawn, { x: "at", y1: "low", y2: "high", fill: "var(--accent)", fillOpacity: 0.17 }),
        ...(mine.points.length <= FEW_NIGHTS ? [Plot.ruleX(mine.points, { x: "at", y1: "low", y2: "high", stroke: "var(--accent)", strokeOpacity: 0.3, strokeWidth: 2 })] : []),
        Plot.lineY(drawn, { x: "at", y: "rate", stroke: "var(--accent)", strokeWidth: mine.points.length > FEW_NIGHTS ? 1.6 : 2.4, strokeLinejoin: "round" }),
        ...(mine.points.length <= FEW_NIGHTS ? [Plot.dot(mine.points, { x: "at", y: "rate", fill: "var(--accent)", r: 3.2, stroke: "var(--paper)" })] : []),
        Plot.dot(mine.points.filter((point) => point.verdict === "FAIL"), { x: "at", y: "rate", r: mine.points.length > 120 ? 3.4 : 6, fill: "var(--paper)", stroke: "var(--accent)", strokeWidth: 2.4 }),
        ...(frame.named ? [trend.ends(lines, mine, { tall, top, frame })] : []),
        Plot.tip(mine.points, Plot.pointerX({ x: "at", y: "rate", title: trend.told, fill: "var(--card)", stroke: "var(--line)" })),
      ],
    });
    return lettering.named(chart, trend.said(spec, mine));
  },

  // Names at the ends of lines, moved apart where they would lie upon each other.
  ends(lines, mine, { tall, top, frame }) {
    const step = (15 / (tall - 20)) * top;
    const ends = lines
      .map((line) => ({ line, rate: line.points.at(-1).rate, at: line.points.at(-1).at }))
      .filter(({ rate }) => rate !== null)
      .sort((one, other) => one.rate - other.rate);
    const names = lettering.fit(ends.map(({ line }) => line.series.system), frame.right / 7.4);
    let floor = -Infinity;
    for (const end of ends) floor = end.y = Math.max(end.rate, floor + step);
    const over = Math.max(0, (ends.at(-1)?.y ?? 0) - top);
    for (const end of ends) end.y -= over;
    return Plot.text(ends, {
      x: "at", y: "y", text: ({ line }) => names.get(line.series.system), dx: 10, textAnchor: "start",
      fill: ({ line }) => (line === mine ? "var(--accent)" : "var(--soft)"), fontWeight: ({ line }) => (line === mine ? 650 : 400),
    });
  },

  strip({ spec, since, missed, frame }) {
    const verdicts = new Map(spec.dates.map((date, at) => [date, past.all.verdicts[spec.verdicts[at]]]));
    const ticks = [...verdicts, ...missed.map((date) => [date, "missed"])]
      .map(([date, lane]) => ({ at: past.at(date), lane }))
      .filter(({ at, lane }) => lane && at >= since);
    const lanes = LANES.filter((lane) => ticks.some((tick) => tick.lane === lane));
    const wide = Math.max(2, Math.min(11, (0.7 * (frame.width - frame.left - frame.right)) / Math.max(1, (frame.domain[1] - frame.domain[0]) / DAY_MS)));
    const color = { FAIL: "var(--accent)", INCONCLUSIVE: "var(--undecided)", PASS: "var(--supported)", missed: "var(--edge)" };
    const chart = Plot.plot({
      width: frame.width, height: 30 + lanes.length * 15, marginLeft: frame.left, marginRight: frame.right, marginTop: 4, marginBottom: 24,
      style: { fontSize: "12px", background: "none", color: "var(--ink)", fontFamily: "inherit" },
      x: { type: "utc", domain: frame.domain, label: null, ticks: trend.ticks(frame), tickSize: 3 },
      y: { domain: lanes, label: null, tickSize: 0, tickFormat: (lane) => trend.lane(lane) },
      marks: [
        ...lanes.map((lane) => Plot.tickX(ticks.filter((tick) => tick.lane === lane), {
          x: "at", y: "lane", stroke: color[lane], strokeWidth: wide, strokeOpacity: lane === "missed" ? 0.5 : 1, inset: lane === "missed" ? 4 : 1.5,
        })),
      ],
    });
    return lettering.named(chart, lanes.map((lane) => `${language.words(`verdict_${lane.toLowerCase()}`)}: ${ticks.filter((tick) => tick.lane === lane).length}`).join(", "));
  },

  // A night has a date and no hour: no tick is finer than a day.
  ticks({ width, domain: [first, last] }) {
    const most = Math.max(2, Math.min(8, width / 110));
    return (last - first) / DAY_MS <= most ? "day" : most;
  },

  lane(lane) {
    return { FAIL: "✕", INCONCLUSIVE: "?", PASS: "✓", missed: "–" }[lane];
  },

  told(point) {
    const lines = [point.date, `${language.percent(point.rate)}  (${language.percent(point.low)} – ${language.percent(point.high)})`, `${language.words("rows")}: ${language.count(point.rows)}`];
    return [...lines, ...(point.verdict ? [language.words(`verdict_${point.verdict.toLowerCase()}`)] : [])].join("\n");
  },

  said(spec, { series, points }) {
    const [first, last] = [points[0], points.at(-1)];
    const told = (point) => `${point.date} ${language.percent(point.rate)}`;
    return `${spec.name}, ${series.indicator}, ${series.system}: ${told(first)}, ${told(last)}. ${language.words("trend_table")}`;
  },

  // The table behind the charts: made when it is opened, as it is long.
  numbers() {
    const details = document.getElementById("trend-numbers");
    if (!details.open) return;
    const { spec, since } = trend.chosen();
    const columns = spec.series.map((series) => new Map(past.points(spec, series, since).map((point) => [point.date, point])));
    const dates = [...new Set([...spec.dates, ...spec.missed])].filter((date) => past.at(date) >= since).sort().reverse();
    const table = d3.create("table").attr("class", "plain");
    table.append("caption").attr("class", "sr").text(language.words("numbers"));
    const head = table.append("thead").append("tr");
    head.append("th").attr("scope", "col").text(language.words("date"));
    for (const { system, indicator } of spec.series) head.append("th").attr("scope", "col").attr("class", "num").text(`${system} · ${indicator}`);
    const rows = table.append("tbody").selectAll("tr").data(dates).join("tr");
    rows.append("th").attr("scope", "row").text((date) => date);
    for (const column of columns) rows.append("td").attr("class", "num").text((date) => trend.cell(column.get(date), spec.missed.includes(date)));
    details.querySelector(".scroll").replaceChildren(table.node());
  },

  cell(point, missed) {
    if (!point) return missed ? language.words("verdict_missed") : "–";
    return `${language.percent(point.rate)} (${language.percent(point.low)} – ${language.percent(point.high)}; ${language.count(point.rows)})`;
  },
};
