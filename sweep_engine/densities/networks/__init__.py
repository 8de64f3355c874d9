"""Estimates that run stored networks again: pairs of them, and ensembles."""
