"""Measurements that need a CUDA GPU: checks, speed and kernel tuning."""
