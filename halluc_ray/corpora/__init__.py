"""Corpora that are made here: closed-book facts for a first run of a language model."""

from halluc_ray.corpora.facts import FactsCorpus, build_facts

__all__ = ["FactsCorpus", "build_facts"]
