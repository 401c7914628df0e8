"""What needs a CUDA GPU: checks, speed, the table of kernels."""
