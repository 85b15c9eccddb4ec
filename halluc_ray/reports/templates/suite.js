"use strict";
// Puts the page of a suite to work. Without it the page still tells verdicts, maps and nights, in English.

heat.start();
trend.start();
nights.start();
controls.start(() => {
  trend.draw();
  nights.count();
});
