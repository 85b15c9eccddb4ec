"""Version of each runner's meaning: raised whenever its outputs for the same input may differ.

Part of every generate digest, so that a change makes new stages and never mixes with old ones.
"""

SEMANTICS_VERSIONS = {
    "causal-lm": 1,
    "choices": 1,
    "dual-encoder": 1,
    "embedder": 1,
    "endpoint": 1,
    "image-text-to-text": 1,
    "recorded": 1,
    "seq2seq-lm": 1,
    "sequence-classification": 1,
}
