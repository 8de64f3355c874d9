"""The Ray backend. `door` is the one module that imports ray, which reads its environment then."""

from sweep_engine.backends.ray.security import prepare_environment

prepare_environment()
