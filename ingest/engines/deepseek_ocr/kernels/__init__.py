"""Triton kernels for parts of the model, each with the plain PyTorch version it must match.

A kernel runs only on GPUs where it was measured to be faster; see :mod:`.tiles`.
"""
