"""axe-core in the page: what keeps a person with an impairment from reading it."""

from importlib.util import find_spec
from pathlib import Path

GRAVE = ("serious", "critical")


def faults(browser):
    """The serious and critical violations of the page that is open, each with its places."""
    browser.run(_script())
    found = browser.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [
        f"{each['id']}: {node['target']} {node['any'][:1]}"
        for each in found
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


def _script():
    """The bundled script; the package itself would need a driver that is not installed."""
    spec = find_spec("axe_core_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
