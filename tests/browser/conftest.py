import pytest

from tests.browser.chromium import CHROMIUM, Chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        # The page needs a real browser, which the set-up does not install; pytest lists the skips.
        pytest.skip("no chromium on PATH to open the page in")
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()
