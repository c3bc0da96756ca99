"""Trains vanilla, recursive and Mixture-of-Recursions language models, and writes them as the engine reads them.

Papers: Mixture-of-Recursions (arXiv 2507.10524, "MoR" below) and Relaxed Recursive Transformers (arXiv 2410.20672,
"RRT" below). Shapes in docstrings use B sequences, S tokens, d hidden size, H query heads, K key/value heads,
h head size, f feed-forward size, V vocabulary, N recursions.
"""
