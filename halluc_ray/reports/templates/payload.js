"use strict";
// The samples out of the page: base64, gzip, JSON, and then rows with names in place of positions.
// Knows how the page holds them. Caller: page.js.

const OUTCOMES = ["hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed"];

const payload = {
  supported() {
    return typeof DecompressionStream === "function";
  },

  async read() {
    const packed = Uint8Array.from(atob(document.getElementById("samples-data").textContent.trim()), (sign) => sign.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return payload.unpack(JSON.parse(await new Response(stream).text()));
  },

  unpack(packed) {
    const word = (at) => (at < 0 ? null : packed.words[at]);
    const text = (value) => (Array.isArray(value) ? { text: value[0], after: value[1] } : value === null ? null : { text: value, after: 0 });
    const verdict = ([outcome, reason, start = -1, stop = -1, against = null], at) => ({
      indicator: packed.indicators[at], outcome: OUTCOMES[outcome], reason: word(reason), start, stop, against: text(against),
    });
    const unit = ([system, draw, failure, answer, verdicts]) => ({
      system: packed.systems[system], draw, failure: word(failure), verdicts: verdicts.map(verdict),
      answer: answer === null ? null : { text: answer[0], before: answer[1] || 0, after: answer[2] || 0 },
    });
    const rows = packed.rows.map(([id, slices, prompt, context, reference, units], at) => ({
      at, id: text(id), slices: slices.map(word), prompt: text(prompt), context: text(context),
      reference: text(reference), units: units.map(unit),
    }));
    return { systems: packed.systems, indicators: packed.indicators, slices: packed.slices, rows };
  },
};
