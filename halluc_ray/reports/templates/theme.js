"use strict";
// Light or dark, and where choices are remembered. Knows that a page opened from a file may be refused
// storage: then a choice holds until the page is closed. Caller: controls.js.

const memory = {
  read(key) {
    try {
      return window.localStorage.getItem(`halluc_ray.${key}`);
    } catch (error) {
      if (error instanceof DOMException) return null;
      throw error;
    }
  },

  write(key, value) {
    try {
      window.localStorage.setItem(`halluc_ray.${key}`, value);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
  },
};

const theme = {
  set(name) {
    if (name === "light" || name === "dark") document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
  },
};
