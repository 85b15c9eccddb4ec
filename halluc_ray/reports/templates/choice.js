"use strict";
// What the reader asks to see: filters and order, as pure functions, and their spelling in the address.
// Knows rows; touches no document. Caller: samples.js.

const NULL_SLICE = "\u0000null";

const choice = {
  none() {
    return { text: "", system: "", indicator: "", outcome: "", slices: Object.create(null), sort: "fair", page: 1 };
  },

  fromHash(hash) {
    const asked = choice.none();
    const given = new URLSearchParams(hash.replace(/^#samples\??/, ""));
    for (const key of ["text", "system", "indicator", "outcome", "sort"]) {
      if (given.has(key)) asked[key] = given.get(key);
    }
    asked.page = Math.max(1, Number.parseInt(given.get("page"), 10) || 1);
    for (const [key, value] of given) if (key.startsWith("slice.")) asked.slices[key.slice(6)] = value;
    for (const [key, value] of given) if (key.startsWith("null.")) asked.slices[key.slice(5)] = NULL_SLICE;
    return asked;
  },

  toHash(asked) {
    const given = new URLSearchParams();
    for (const key of ["text", "system", "indicator", "outcome"]) if (asked[key]) given.set(key, asked[key]);
    for (const [column, value] of Object.entries(asked.slices)) {
      if (value === NULL_SLICE) given.set(`null.${column}`, "");
      else given.set(`slice.${column}`, value);
    }
    if (asked.sort !== "fair") given.set("sort", asked.sort);
    if (asked.page > 1) given.set("page", String(asked.page));
    const text = given.toString();
    return text ? `#samples?${text}` : "#samples";
  },

  unitMatches(unit, asked) {
    if (asked.system && unit.system !== asked.system) return false;
    if (!asked.indicator && !asked.outcome) return true;
    return unit.verdicts.some(
      (verdict) =>
        (!asked.indicator || verdict.indicator === asked.indicator) && (!asked.outcome || verdict.outcome === asked.outcome),
    );
  },

  rowMatches(row, columns, asked) {
    return Object.entries(asked.slices).every(([column, value]) => {
      const found = row.slices[columns.indexOf(column)];
      return value === NULL_SLICE ? found === null : found === value;
    });
  },

  texts(row, units) {
    const own = [row.id, row.prompt, row.context, row.reference, ...units.map((unit) => unit.answer)];
    return own.filter(Boolean).map((entry) => entry.text);
  },

  apply(data, asked) {
    const needle = asked.text.trim().toLowerCase();
    const found = [];
    for (const row of data.rows) {
      if (!choice.rowMatches(row, data.slices, asked)) continue;
      const units = row.units.filter((unit) => choice.unitMatches(unit, asked));
      if (!units.length) continue;
      if (needle && !choice.texts(row, units).some((text) => text.toLowerCase().includes(needle))) continue;
      found.push({ row, units });
    }
    return choice.sorted(found, asked);
  },

  sorted(found, asked) {
    const relevant = (verdict) => !asked.indicator || verdict.indicator === asked.indicator;
    const bad = (row) =>
      row.units.flatMap((unit) => unit.verdicts.filter(relevant)).filter((verdict) => verdict.outcome === "hallucinated").length;
    const all = (row) => row.units.flatMap((unit) => unit.verdicts.filter(relevant)).length || 1;
    const keys = {
      worst: ({ row }) => -bad(row) / all(row),
      apart: ({ row }) => Math.abs(bad(row) / all(row) - 0.5),
    };
    if (asked.sort === "id") {
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      return found.sort((one, other) => compare(one.row.id.text, other.row.id.text) || one.row.at - other.row.at);
    }
    const key = keys[asked.sort];
    return key ? found.sort((one, other) => key(one) - key(other) || one.row.at - other.row.at) : found;
  },
};
