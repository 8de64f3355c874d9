"""Report: figures and one HTML page, from stored results alone."""

from sweep_engine.report.build import write_report

__all__ = ["write_report"]
