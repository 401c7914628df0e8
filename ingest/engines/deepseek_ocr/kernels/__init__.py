"""Kernels for parts of the model, each beside the plain torch that says what it computes.

A kernel is used on GPUs it was measured on, and there only where it was the faster one.
"""
