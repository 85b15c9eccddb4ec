"""The static site of suites: pages in the store that anyone with a browser can read.

Everything here is derived from nights, runs and gates; a page that is lost is made again.
"""
