"""The user's own data files: columns of numbers, read without trust in what a file says."""

from sweep_engine.data_files.columns import NUMBERS_MAX, Columns, sha256
from sweep_engine.data_files.labels import LABELS_MAX, find_labels
from sweep_engine.data_files.reading import read_columns

__all__ = ["LABELS_MAX", "NUMBERS_MAX", "Columns", "find_labels", "read_columns", "sha256"]
