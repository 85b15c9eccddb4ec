"use strict";
// Puts the page's parts to work. Without it the page still shows every number, in English.

const start = {
  controls() {
    const chosen = { language: memory.read("language") || language.preferred(), theme: memory.read("theme") || "auto" };
    const set = {
      language: (value) => {
        language.set(value);
        charts.draw();
      },
      theme: theme.set,
    };
    for (const name of ["language", "theme"]) {
      const select = document.getElementById(name);
      select.value = chosen[name];
      set[name](chosen[name]);
      select.addEventListener("change", () => {
        memory.write(name, select.value);
        set[name](select.value);
      });
    }
    document.getElementById("controls").hidden = false;
  },

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
start.controls();
start.copies();
start.samples();
