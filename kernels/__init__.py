"""Kernels: one folder each, with a plain twin and its faster implementations.

Imported by their full name, `sweep_engine.kernels`; the folder stands at the top level of
the repository and is linked into the package.
"""
