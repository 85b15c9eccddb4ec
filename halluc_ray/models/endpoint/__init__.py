"""A model behind an OpenAI-compatible server: requests, answers, retries, money.

Knows HTTP and one system's section; no Ray, no torch, no store. Callers: wiring makes the generator,
shard runs use it.
"""
