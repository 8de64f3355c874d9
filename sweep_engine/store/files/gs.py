"""Clients of Google Cloud Storage, with Google's application default credentials."""

from typing import TYPE_CHECKING

import pyarrow.fs as pafs
from obstore.store import GCSStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig


def open_store(bucket: str, prefix: str, client: "ClientConfig", retry: "RetryConfig") -> GCSStore:
    """Open what reads and writes."""
    return GCSStore(bucket, prefix=prefix or None, client_options=client, retry_config=retry)


def open_arrow(bucket: str) -> pafs.FileSystem:
    """Open what scans."""
    del bucket
    return pafs.GcsFileSystem()
