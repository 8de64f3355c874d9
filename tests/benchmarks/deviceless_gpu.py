"""An H100 or H200 that is not there, as XLA's GPU compiler wants it described."""

import os
from typing import Any

from sweep_engine.devices import DEVICES

NAMES = {"h100": "NVIDIA H100 80GB HBM3", "h200": "NVIDIA H200"}
DESCRIPTION = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth} l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: {memory} shared_memory_per_block_optin: 232448
  cuda_compute_capability {{ major: 9 }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 7 }}
runtime_version {{ major: 13 minor: 0 patch: 0 }} device_description_str: "{name}"
"""
"""Compute capability 9.0; what differs between the two is memory and its rate."""

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
    # Nothing can be timed, so nothing is tuned, and products go to cuBLAS: untuned tiles of
    # Triton do not compile. CUDA_HOME has ptxas and libdevice.
    "XLA_FLAGS": f"--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false "
    f"--xla_gpu_cuda_data_dir={os.environ.get('CUDA_HOME', '/usr/local/cuda')}",
}


def topology(device: str) -> Any:
    """Describe one device to the compiler."""
    import jax
    from jax.experimental import topologies

    jax.devices()  # loads the plug-in, which finds no GPU
    described = DESCRIPTION.format(
        bandwidth=int(DEVICES[device].bytes_per_second),
        memory=int(DEVICES[device].memory_bytes),
        name=NAMES[device],
    )
    return topologies.get_topology_desc(platform="cuda", target_config=described, topology="1x1x1")
