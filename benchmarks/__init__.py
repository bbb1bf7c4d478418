"""Compares Ringway with nginx and the limit of the kernel: `python -m benchmarks`. See README.md in this folder."""
