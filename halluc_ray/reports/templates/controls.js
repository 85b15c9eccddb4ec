"use strict";
// The choice of language and colours, and where it is kept. Knows the two selects of a page's header. Callers:
// page.js, comparison.js, suite.js.

const controls = {
  start(onLanguage) {
    const chosen = { language: memory.read("language") || language.preferred(), theme: memory.read("theme") || "auto" };
    const set = {
      language: (value) => {
        language.set(value);
        onLanguage();
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
};
