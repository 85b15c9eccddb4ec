"use strict";
// The page's own words in English or Chinese. Knows the list of words and the elements that carry a key;
// texts of samples are never touched. Callers: controls.js, samples.js, charts.js.

const page = JSON.parse(document.getElementById("page-data").textContent);

const language = {
  now: "en",

  words(key, values = {}) {
    const pair = page.words[key];
    const filled = (value) => (value && value.t ? language.words(value.t, value.a) : String(value));
    return pair[language.now === "zh" ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => filled(values[name]));
  },

  preferred() {
    return (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  },

  set(name) {
    language.now = name === "zh" ? "zh" : "en";
    document.documentElement.lang = language.now === "zh" ? "zh-Hans" : "en";
    document.title = `${language.words("title")} ${page.run}`;
    language.translate(document);
  },

  translate(root) {
    const values = (element) => JSON.parse(element.dataset.args || "{}");
    for (const element of root.querySelectorAll("[data-t]")) {
      element.textContent = language.words(element.dataset.t, values(element));
    }
    for (const element of root.querySelectorAll("[data-t-label]")) {
      element.setAttribute("aria-label", language.words(element.dataset.tLabel, values(element)));
    }
  },

  count(number) {
    return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  },

  percent(share, digits = 1) {
    return share === null ? "–" : `${(100 * share).toFixed(digits)}\u00a0%`;
  },
};
