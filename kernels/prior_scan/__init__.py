"""Scans of a prior: draw networks, read their functions, count what they miss.

`reference` says what a scan is, in plain JAX; `cpu` draws from the same random numbers and
keeps a network in the processor's cache.
"""
