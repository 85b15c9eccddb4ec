"use strict";
// The history out of the page: columns of whole numbers, and then one point for each night. Knows how the page
// holds them. Callers: trend.js, suite.js.

const DAY_MS = 86_400_000;

const past = {
  all: page.trend,

  at(date) {
    return new Date(`${date}T00:00:00Z`);
  },

  spec(name) {
    return past.all.specs.find((spec) => spec.name === name);
  },

  // The points of one line. Of several records of a date the last counts: the page holds the worst verdict last.
  points(spec, series, since) {
    const unit = past.all.unit;
    const found = new Map();
    spec.dates.forEach((date, at) => {
      if (past.at(date) < since || !series.rows[at]) return;
      const defined = series.defined[at];
      found.set(date, {
        date, at: past.at(date), verdict: past.all.verdicts[spec.verdicts[at]], rows: series.rows[at],
        rate: defined ? series.hallucinated[at] / defined : null,
        low: series.low[at] < 0 ? null : series.low[at] / unit, high: series.high[at] < 0 ? null : series.high[at] / unit,
      });
    });
    return [...found.values()];
  },

  // Where a night was missed, the line breaks.
  broken(points, missed) {
    const gaps = missed.map((date) => ({ date, at: past.at(date), rate: NaN, low: NaN, high: NaN }));
    return [...points, ...gaps].sort((one, other) => one.at - other.at);
  },

  since(spec, days) {
    const last = past.at(spec.dates.at(-1));
    return days ? new Date(last - (days - 1) * DAY_MS) : past.at(spec.dates[0]);
  },

  // The system of a spec whose last rate is highest.
  worst(spec) {
    const rate = (series) => (series.defined.at(-1) ? series.hallucinated.at(-1) / series.defined.at(-1) : -1);
    return [...spec.series].sort((one, other) => rate(other) - rate(one))[0]?.system ?? "";
  },
};
