"use strict";
// Puts the page's parts to work. Without it the page still shows every number, in English.

const start = {
  copies() {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => start.copy(button));
    }
  },

  async copy(button) {
    const source = document.getElementById(button.dataset.copy);
    let key = "copied";
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch (error) {
      if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
      window.getSelection().selectAllChildren(source);
      key = document.execCommand("copy") ? "copied" : "copy_by_hand";
    }
    button.firstElementChild.dataset.t = key;
    language.translate(button);
  },

  async samples() {
    if (!document.getElementById("samples-data")) return;
    if (payload.supported()) samples.start(await payload.read());
    else document.getElementById("samples-old").hidden = false;
  },
};

charts.start();
controls.start(charts.draw);
start.copies();
start.samples();
