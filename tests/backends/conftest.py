"""A Ray for the tests of this folder: own token, nothing outside loopback, ended at the end."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def local_ray(tmp_path_factory):
    """A Ray of this process, so that a backend without an address joins it and does not end it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", str(ROOT))  # workers find the tests' functions there
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        from sweep_engine.backends.ray import door

        assert door.connect(None)
        yield home
        door.leave()
