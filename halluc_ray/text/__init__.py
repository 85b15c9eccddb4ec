"""Text as indicators need it: normalised, read for numbers, refusals and yes or no; English and Chinese."""
