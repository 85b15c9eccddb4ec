"""Corpora: closed-book facts for a first run of a language model (`facts`), and what people bring (`importing`).

Neither is loaded here: facts need the demo's packages, which an import does without.
"""
