"use strict";
// Puts the page of a comparison to work. Without it the page still says everything, in English.

controls.start(() => {});
