"""Nightly benchmarks: suites of specs, their history in the store, who is told.

Called by the command line. Imports what it needs of `evaluation`; nothing below knows of it.
"""
