"""Sweep files to start from: the packaged ones, with a line that gives editors their schema."""

from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
SIMPLEST = "minimal"
SCHEMA_FILE = "sweep-engine.schema.json"

_HEADER = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# Editors that read the line above complete keys and show their meaning, once there is:
#   sweep-engine schema > {SCHEMA_FILE}

"""


def templates() -> dict[str, str]:
    """Give the first line of every template's comment, by name; the simplest stands first."""
    paths = sorted(EXAMPLES.glob("*.yaml"), key=lambda path: (path.stem != SIMPLEST, path.stem))
    return {path.stem: _first_line(path) for path in paths}


def write_template(name: str, path: Path) -> None:
    """Write a template.

    Args:
        name: One of `templates`.
        path: A new file.

    Raises:
        FileExistsError: there is a file.
    """
    with path.open("x", encoding="utf-8") as file:
        file.write(_HEADER + (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
