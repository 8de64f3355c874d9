"""Clients of Amazon S3, or of another server that speaks like it."""

import os
from functools import cache
from typing import TYPE_CHECKING

import botocore.session
import pyarrow.fs as pafs
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from sweep_engine.errors import OutputError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig


def open_store(bucket: str, prefix: str, client: "ClientConfig", retry: "RetryConfig") -> S3Store:
    """Open what reads and writes, with the credentials that the AWS command line would use.

    Raises:
        OutputError: There are none.
    """
    session = _session()
    if session.get_credentials() is None:
        raise OutputError(
            f"s3://{bucket}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or AWS_PROFILE to a profile of ~/.aws"
        )
    endpoint, region = _server(bucket)
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint,
        region=region,
        credential_provider=Boto3CredentialProvider(session),
        client_options={**client, "allow_http": endpoint.startswith("http://")},
        retry_config=retry,
        disable_bulk_delete=True,  # we delete one at a time, which every server can
    )


def open_arrow(bucket: str) -> pafs.FileSystem:
    """Open what scans; it finds the same credentials by itself."""
    endpoint, region = _server(bucket)
    return pafs.S3FileSystem(endpoint_override=endpoint, region=region)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def _server(bucket: str) -> tuple[str, str]:
    """The endpoint and the region, from AWS_ENDPOINT_URL, AWS_REGION and the like, or ~/.aws."""
    session = _session()
    region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    endpoint = session.create_client("s3", region_name=region or "us-east-1").meta.endpoint_url
    if region is None and endpoint.endswith(".amazonaws.com"):
        region = pafs.resolve_s3_region(bucket)
        endpoint = session.create_client("s3", region_name=region).meta.endpoint_url
    return endpoint, region or "us-east-1"
