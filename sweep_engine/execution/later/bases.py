"""Bases of coordinates: fitted once on a source's stored networks, kept in the table `bases`."""

import hashlib

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from sweep_engine.errors import OutputError
from sweep_engine.models import Network
from sweep_engine.observables import Basis, FittedObservable, fit_basis, is_fitted_on
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.observables import ObservableKind
from sweep_engine.store import Files, Results, with_file_metadata
from sweep_engine.store.commit import commit
from sweep_engine.store.layout import BASIS_PREFIX
from sweep_engine.store.ledger import FileRecord, read_ledger
from sweep_engine.store.scan import TableFiles
from sweep_engine.store.schema import bases_schema

MAX_FITTED = 20_000
"""Networks that a basis is fitted on, at most: the first in the order of the files."""

BLOCK = 1024


def basis_of(
    files: Files,
    results: Results,
    spec: ObservableKind,
    observable: FittedObservable,
    network: Network,
    unit_size: int,
) -> Basis:
    """Read the basis for networks of one layout, or fit and store it.

    Every stored network of the source with that layout that is not kept for comparisons
    (`is_fitted_on`) counts once, in its final state.

    Args:
        files: The output directory.
        results: What is in it.
        spec: Names the source, and identifies the basis.
        observable: What is to be computed with the basis.
        network: Gives the layout.
        unit_size: How many draws of the source depend on one another.

    Raises:
        OutputError: the source has too few stored networks of that layout.
    """
    content = {"spec": spec.model_dump(mode="json"), "layout": network.layout.describe()}
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]
    name = f"{BASIS_PREFIX}{digest}"
    if name not in read_ledger(files).entries:
        source = spec.fit_source
        assert source is not None
        bucket, theta = _fitted_networks(results, source, network, unit_size)
        try:
            basis = fit_basis(_points(observable, network, theta), observable.components)
        except ValueError as error:
            raise OutputError(f"coordinates fitted on {source}: {error}") from error
        path = f"bases/source={source}/bucket={bucket}/{digest}.parquet"
        table = _to_table(basis)
        metadata = with_file_metadata(table.schema, content | {"networks": len(theta)}).metadata
        commit(files, name, {path: table.replace_schema_metadata(metadata)}, receipt={})
    (record,) = read_ledger(files).entries[name].files
    return _read(files, record)


def _fitted_networks(
    results: Results, source: str, network: Network, unit_size: int
) -> tuple[str, Float32[np.ndarray, "R P"]]:
    """The first bucket with networks of the layout, and theta of all such networks."""
    layout, names, thetas = network.layout.describe(), [], []
    for bucket in results.buckets("params", source):
        if results.file_metadata("params", source, bucket)["layout"] == layout:
            names.append(bucket)
            run_id, theta = results.final_params(source, bucket)
            thetas.append(theta[is_fitted_on(run_id, unit_size)])
    finite = [theta[np.isfinite(theta).all(axis=1)] for theta in thetas]
    if not sum(map(len, finite)):
        raise OutputError(
            f"coordinates are fitted on {source}, which has no stored networks of "
            f"{network.layout.num_params} parameters like these"
        )
    return names[0], np.concatenate(finite)[:MAX_FITTED]


def _points(
    observable: FittedObservable, network: Network, theta: Float32[np.ndarray, "R P"]
) -> Float32[np.ndarray, "R P"]:
    form = jax.jit(jax.vmap(lambda row: observable.point(network, row)))
    blocks = [theta[first : first + BLOCK] for first in range(0, len(theta), BLOCK)]
    return np.concatenate([np.asarray(form(block)) for block in blocks])


def _to_table(basis: Basis) -> pa.Table:
    rows = np.vstack([basis.mean[None], basis.components]).astype(np.float32)
    schema = bases_schema(rows.shape[1])
    theta = pa.FixedSizeListArray.from_arrays(
        pa.array(rows.ravel()), type=schema.field("theta").type
    )
    variance = pa.array([None, *map(float, basis.variances)], pa.float64())
    return pa.Table.from_arrays(
        [pa.array(range(len(rows)), pa.int32()), variance, theta], schema=schema
    )


def _read(files: Files, record: FileRecord) -> Basis:
    table = TableFiles(files, (record,)).read(["variance", "theta"])
    rows = np.stack(table["theta"].to_numpy(zero_copy_only=False))
    return Basis(rows[0], rows[1:], table["variance"].to_numpy()[1:])
