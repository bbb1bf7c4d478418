"""Ringway beside nginx and beside the kernel's own limit: `python -m benchmarks`. See README.md in this folder."""
