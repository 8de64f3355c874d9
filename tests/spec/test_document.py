"""Sweep files as data with places: what is read, what is refused, and how it is said."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from sweep_engine.errors import SpecError
from sweep_engine.spec import document as module
from sweep_engine.spec.document import MAX_BYTES, MAX_PROBLEMS, parse_document, read_document
from sweep_engine.spec.validation import validate
from sweep_engine.spec.yaml_nodes import MAX_DEPTH

LOADERS = [pytest.param(yaml.SafeLoader, id="python")]
if hasattr(yaml, "CSafeLoader"):
    LOADERS.append(pytest.param(yaml.CSafeLoader, id="libyaml"))


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Sgd(Strict):
    kind: Literal["sgd"]
    learning_rate: float = Field(default=0.1, gt=0)
    momentum: float = 0.0


class Adam(Strict):
    kind: Literal["adam", "adamw"]
    betas: tuple[float, float] | None = None


class Train(Strict):
    kind: Literal["train"]
    optimizer: Annotated[Sgd | Adam, Field(discriminator="kind")]
    batch_size: Annotated[int, Field(gt=0)] | Literal["full"] = "full"
    runs: int = 1

    @model_validator(mode="after")
    def few_runs(self):
        if self.runs > 100:
            raise ValueError("too many runs,\nat most 100")
        return self


class Prior(Strict):
    kind: Literal["prior"]
    draws: int


class Widths(RootModel[list[int]]):
    pass


class Model(Strict):
    widths: Widths | None = None
    activation: Literal["relu", "tanh"] = "relu"
    bias: bool = True


class Draw(Strict):
    drew: int


class Drawn(Strict):
    drawn: int


class Sweep(Strict):
    name: str
    model: Model | None = None
    sources: dict[
        Annotated[str, Field(pattern="^[a-z]+$")],
        Annotated[Train | Prior, Field(discriminator="kind")],
    ] = {}
    axes: dict[str, list[int | Literal["full"]] | list[list[int]]] = {}
    start: Prior | str | None = None
    either: list[Drawn | Draw] = []
    class_: str = Field(default="", alias="class")


def problems_of(text: str, model: type[BaseModel] = Sweep) -> list[str]:
    with pytest.raises(SpecError) as caught:
        validate(parse_document(text, "x.yaml"), model)
    assert all("\n" not in problem for problem in caught.value.problems)
    return caught.value.problems


def value_of(scalar: str) -> Any:
    return parse_document(f"key: {scalar}", "x.yaml").data["key"]


# --- scalars: the YAML 1.2 core schema -----------------------------------------------------

SCALARS = [
    *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
    *[(text, True) for text in ("true", "True", "TRUE")],
    ("false", False),
    *[(text, text) for text in ("yes", "no", "on", "off", "y", "nUll", "tRue")],
    *[("0", 0), ("-7", -7), ("+7", 7), ("014", 14), ("0o14", 12), ("0x1F", 31)],
    ("18446744073709551615", 2**64 - 1),
    *[
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.5e+1", -5.0),
        ("1e400", math.inf),
    ],
    *[(".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf)],
    *[
        (text, text)
        for text in ("1_000", "0b11", "1:30", "2020-01-01", "-0x1", ".", "+", "e3", "<<")
    ],
    *[("'1'", "1"), ('"true"', "true"), ('""', ""), ("!!str 1", "1"), ("!!float 1", 1.0)],
    *[
        ("!!int '12'", 12),
        ("!!null ''", None),
        ("!!bool true", True),
        ("!!seq []", []),
        ("!!map {}", {}),
    ],
    ("١", "١"),  # a digit, but not an ASCII one
]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(("scalar", "expected"), SCALARS)
def test_a_scalar_has_its_yaml_1_2_value(scalar, expected, loader, monkeypatch):
    monkeypatch.setattr(module, "_LOADER", loader)
    value = value_of(scalar)
    assert value == expected
    assert type(value) is type(expected)


def test_nan_is_a_float():
    assert math.isnan(value_of(".nan"))


# --- places ---------------------------------------------------------------------------------

TEXT = """\
# a comment
model: {widths: [40,
    41], bias: true}
axes:
  model.widths:
  - [1]
"""


@pytest.mark.parametrize(
    ("loc", "key", "place"),
    [
        ((), False, (2, 1)),
        (("model",), False, (2, 8)),
        (("model",), True, (2, 1)),
        (("model", "widths", 1), False, (3, 5)),
        (("model", "widths", 1), True, (3, 5)),
        (("model", "widths", 2), False, (2, 17)),
        (("model", "bias"), True, (3, 10)),
        (("model", "no", "such"), True, (2, 8)),
        (("axes", "model.widths", 0, 0), False, (6, 6)),
        (("no",), False, (2, 1)),
    ],
)
def test_place(loc, key, place):
    assert parse_document(TEXT, "x.yaml").place(loc, key=key) == place


def test_a_document_keeps_its_name_and_text():
    document = parse_document(TEXT, "x.yaml")
    assert (document.name, document.text) == ("x.yaml", TEXT)
    assert document.data == {
        "model": {"widths": [40, 41], "bias": True},
        "axes": {"model.widths": [[1]]},
    }
    assert document.problem(("model", "bias"), "no") == "x.yaml:3:16: model.bias: no"


# --- text that is refused -------------------------------------------------------------------

REFUSED = {
    "empty": ("", "x.yaml:1:1: the file is empty"),
    "comment": ("# nothing", "x.yaml:1:1: the file is empty"),
    "null": ("---\n", "the top level must be a mapping, got null"),
    "list": ("\n- 1\n", "x.yaml:2:1: the top level must be a mapping, got a list of 1"),
    "text": ("hello", "x.yaml:1:1: the top level must be a mapping, got 'hello'"),
    "two documents": ("a: 1\n---\nb: 1", "x.yaml:2:1: a second document"),
    "directive": ("%YAML 1.1\n---\na: 1", "x.yaml:1:1: a line may not start with '%'"),
    "byte order mark": ("\ufeffa: 1", "x.yaml:1:1: starts with a byte order mark"),
    "control character": ("a: 1\nb: \x07", "x.yaml:2:4: a control character"),
    "surrogate": ("a: \ud800", "x.yaml:1:4: a control character or other code point"),
    "escaped surrogate": (r'a: "\ud800"', "x.yaml:1:"),
    "escape out of range": (r'a: "\UFFFFFFFF"', "not valid YAML"),
    "alias": ("a: *b", "x.yaml:1:4: anchor or alias 'b': neither is allowed"),
    "anchor": ("a: &b 1", "x.yaml:1:4: anchor or alias 'b': neither is allowed"),
    "anchored list": ("a: &b [1]", "x.yaml:1:4: anchor or alias 'b': neither is allowed"),
    "alias as key": ("*b : 1", "x.yaml:1:1: anchor or alias 'b': neither is allowed"),
    "python tag": ("a: !!python/object:os.system x", "x.yaml:1:4: tag 'tag:yaml.org,2002:python"),
    "own tag": ("a: !mine [1]", "x.yaml:1:4: tag '!mine' is not allowed here"),
    "bare tag": ("a: ! x", "x.yaml:1:4: tag '!' is not allowed here"),
    "tag of another type": ("a: !!int 1.5", "'1.5' does not have the form that its tag"),
    "tag of another collection": ("a: !!map [1]", "x.yaml:1:4: tag 'tag:yaml.org,2002:map'"),
    "duplicate key": ("a: 1\nb: 2\na: 3", "x.yaml:3:1: duplicate key 'a', given first at 1:1"),
    "duplicate key in quotes": (
        "{a: 1, 'a': 2}",
        "x.yaml:1:8: duplicate key 'a', given first at 1:2",
    ),
    "integer as key": ("1: a", "x.yaml:1:1: a key must be a string, got 1"),
    "null as key": ("~: a", "a key must be a string, got null"),
    "boolean as key": ("true: a", "a key must be a string, got true"),
    "list as key": ("? [a]\n: 1", "x.yaml:1:3: a key must be a string, got a list of 1"),
    "65 bits": ("a: 18446744073709551616", "integer 18446744073709551616 has more than 64 bits"),
    "truth table": ("a: " + "01" * 64, "has more than 64 bits; quote it if it is text"),
    "5000 digits": ("a: " + "9" * 5000, "has more than 64 bits"),
    "hexadecimal": ("a: 0x" + "f" * 100_000, "has more than 64 bits"),
    "open bracket": ("a: [1", "not valid YAML"),
    "tab": ("a:\n\tb: 1", "x.yaml:2:1: not valid YAML: found character"),
    "colon": ("a: b: c", "x.yaml:1:5: not valid YAML: mapping values are not allowed"),
    "unknown alphabet": ("a: `b", "not valid YAML"),
    "deep": ("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, f"nested deeper than {MAX_DEPTH} levels"),
    "very deep": ("[" * 100_000, "x.yaml:1:33: not valid YAML: nested deeper"),
    "very deep mapping": ("{a: " * 100_000, "nested deeper"),
    "very deep block": ("- " * 100_000, "nested deeper"),
    "very deep keys": ("? " * 100_000, "nested deeper"),
    "large": ("a: " + "é" * (MAX_BYTES // 2), "x.yaml: larger than 1048576 bytes"),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("case", REFUSED)
def test_text_is_refused_with_its_place(case, loader, monkeypatch):
    monkeypatch.setattr(module, "_LOADER", loader)
    text, expected = REFUSED[case]
    problems = problems_of(text)
    assert len(problems) == 1
    assert expected in problems[0]


def test_the_greatest_depth_is_accepted():
    parse_document("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), "x.yaml")


def test_all_problems_of_a_text_are_reported_in_order():
    problems = problems_of("a: &x 1\na: *x\n1: !t 2\n")
    assert [problem.split(": ")[0] for problem in problems] == [
        "x.yaml:1:4",
        "x.yaml:2:1",
        "x.yaml:2:4",
        "x.yaml:3:1",
        "x.yaml:3:4",
    ]


def test_many_problems_are_cut_short():
    problems = problems_of("a: 1\n" * 1000)
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == "... and more problems"


# --- files that are refused -----------------------------------------------------------------


def test_read_document(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes("a: é\r\nb: 1\r\n".encode())
    document = read_document(path)
    assert document.data == {"a": "é", "b": 1}
    assert document.name == str(path)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a: 1\nb: \xff", ":2:4: not UTF-8 text"),
        ("a: 1".encode("utf-16"), ":1:1: not UTF-8 text"),
        ("a: 1".encode("utf-8-sig"), ":1:1: starts with a byte order mark"),
        (b"a: " + "é".encode() * MAX_BYTES, ": larger than"),
        (b"", ":1:1: the file is empty"),
    ],
)
def test_bytes_are_refused(tmp_path, raw, expected):
    path = tmp_path / "x.yaml"
    path.write_bytes(raw)
    with pytest.raises(SpecError) as caught:
        read_document(path)
    assert caught.value.problems[0].startswith(f"{path}{expected}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (Path("/"), "/: not a file"),
        (Path("/dev/null"), "/dev/null: not a file"),
        (Path("no-such-file"), "no-such-file: cannot be read: No such file or directory"),
        (Path("a" * 5000), "cannot be read: File name too long"),
        (Path("a\0b"), "cannot be read: embedded null byte"),
    ],
    ids=["directory", "device", "missing", "long name", "null character"],
)
def test_paths_are_refused(path, expected):
    with pytest.raises(SpecError) as caught:
        read_document(path)
    assert expected in caught.value.problems[0]


# --- data that does not fit the model -------------------------------------------------------

TRAIN = "name: a\nsources:\n  sgd: {kind: train, optimizer: {kind: sgd}, "
INVALID = {
    "unknown key": (
        "name: a\nmodel:\n  bais: true",
        "x.yaml:3:3: model.bais: unknown key; did you mean 'bias'? "
        "(allowed: widths, activation, bias)",
    ),
    "unknown key below two tags": (
        "name: a\nsources:\n  sgd:\n    kind: train\n    optimizer:\n"
        "      kind: sgd\n      learning_rat: 1.0",
        "x.yaml:7:7: sources.sgd.optimizer.learning_rat: unknown key; "
        "did you mean 'learning_rate'? (allowed: kind, learning_rate, momentum)",
    ),
    "nothing like it": (
        "name: a\nxyz: 1",
        "x.yaml:2:1: xyz: unknown key (allowed: name, model, sources, axes, start, either, class)",
    ),
    "missing key": ("# c\nclass: b", "x.yaml:2:1: name: missing"),
    "missing key below": (
        "name: a\nsources:\n  b: {kind: prior}",
        "x.yaml:3:6: sources.b.draws: missing",
    ),
    "unknown kind": (
        "name: a\nsources:\n  b: {kind: priro}",
        "x.yaml:3:13: sources.b.kind: unknown kind 'priro'; did you mean 'prior'? "
        "(allowed: train, prior)",
    ),
    "kind is not text": (
        "name: a\nsources: {b: {kind: 3}}",
        "x.yaml:2:21: sources.b.kind: unknown kind 3 (allowed: train, prior)",
    ),
    "missing kind": (
        "name: a\nsources:\n  b: {draws: 1}",
        "x.yaml:3:6: sources.b.kind: missing (allowed: train, prior)",
    ),
    "text for a tagged union": (
        "name: a\nsources: {b: train}",
        "x.yaml:2:14: sources.b: must be a mapping with a 'kind' (allowed: train, prior), "
        "got 'train'",
    ),
    "bad name": (
        "name: a\nsources:\n  A: {kind: prior, draws: 1}",
        "x.yaml:3:3: sources.A: must be a string that matches ^[a-z]+$, got 'A'",
    ),
    "integer": ("name: 3", "x.yaml:1:7: name: must be a string, got 3"),
    "boolean of YAML 1.1": (
        "name: a\nmodel: {bias: yes}",
        "x.yaml:2:15: model.bias: must be true or false, got 'yes'",
    ),
    "number with underscores": (
        TRAIN + "runs: 1_000}",
        "x.yaml:3:52: sources.sgd.runs: must be an integer, got '1_000'",
    ),
    "list for a mapping": (
        "name: a\nmodel: [1]",
        "x.yaml:2:8: model: must be a mapping, got a list of 1",
    ),
    "mapping for a list": (
        "name: a\nmodel: {widths: {a: 1}}",
        "x.yaml:2:17: model.widths: must be a list, got a mapping of 1",
    ),
    "element of a root model": (
        "name: a\nmodel: {widths: [40, 1.5]}",
        "x.yaml:2:22: model.widths[1]: must be an integer, got 1.5",
    ),
    "null": ("name: ~", "x.yaml:1:7: name: must be a string, got null"),
    "literal": (
        "name: a\nmodel: {activation: rellu}",
        "x.yaml:2:21: model.activation: must be 'relu' or 'tanh', got 'rellu'; "
        "did you mean 'relu'?",
    ),
    "bound": (
        TRAIN.replace("sgd}", "sgd, learning_rate: -1}") + "}",
        "sources.sgd.optimizer.learning_rate: must be greater than 0, got -1",
    ),
    "infinite": (
        TRAIN.replace("sgd}", "sgd, momentum: 1e999}") + "}",
        "sources.sgd.optimizer.momentum: must be a finite number, got .inf",
    ),
    "not a number": (
        TRAIN.replace("sgd}", "sgd, momentum: .nan}") + "}",
        "sources.sgd.optimizer.momentum: must be a finite number, got .nan",
    ),
    "validator": (TRAIN + "runs: 101}", "x.yaml:3:8: sources.sgd: too many runs, at most 100"),
    "union of leaves": (
        TRAIN + "batch_size: ful}",
        "sources.sgd.batch_size: must be an integer or 'full', got 'ful'; did you mean 'full'?",
    ),
    "union of leaves, bound": (
        TRAIN + "batch_size: 0}",
        "sources.sgd.batch_size: must be greater than 0 or 'full', got 0",
    ),
    "union of lists": ("name: a\naxes: {b: 3}", "x.yaml:2:11: axes.b: must be a list, got 3"),
    "union of lists, inside": (
        "name: a\naxes: {a.b: [[1], [true]]}",
        "x.yaml:2:20: axes['a.b'][1][0]: must be an integer, got true",
    ),
    "union of a model and text": (
        "name: a\nstart: {kind: prior, drwas: 1, draws: 2}",
        "x.yaml:2:22: start.drwas: unknown key; did you mean 'draws'? (allowed: kind, draws)",
    ),
    "union of a model and text, neither": (
        "name: a\nstart: 3",
        "x.yaml:2:8: start: must be a mapping or a string, got 3",
    ),
    "union of models": (
        "name: a\neither: [{drew: 1}, {drew: 1, x: 1}]",
        "x.yaml:2:31: either[1].x: unknown key (allowed: drew)",
    ),
    "alias": ("name: a\nclass: 1", "x.yaml:2:8: class: must be a string, got 1"),
    "long text": ("name: a\nmodel: " + "b" * 1000, "got '" + "b" * 57 + "...'"),
    "odd key": ('name: a\n"\\e[31m": 1', "x.yaml:2:1: ['\\x1b[31m']: unknown key"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_data_is_explained_in_one_line(case):
    text, expected = INVALID[case]
    problems = problems_of(text)
    assert len(problems) == 1
    assert expected in problems[0]


def test_all_invalid_values_are_reported_in_the_order_of_the_file():
    text = "sources:\n  b: {kind: c}\nmodel: {bias: 1,\n  widths: [a, 1, b]}\nz: 1\n"
    places = [problem.split(": ")[:2] for problem in problems_of(text)]
    assert places == [
        ["x.yaml:1:1", "name"],
        ["x.yaml:2:13", "sources.b.kind"],
        ["x.yaml:3:15", "model.bias"],
        ["x.yaml:4:12", "model.widths[0]"],
        ["x.yaml:4:18", "model.widths[2]"],
        ["x.yaml:5:1", "z"],
    ]


def test_a_hundred_thousand_bad_values_are_cut_short():
    problems = problems_of("name: a\nmodel: {widths: [" + "b," * 100_000 + "]}")
    assert len(problems) == MAX_PROBLEMS + 1


def test_valid_data_gives_the_model():
    text = "name: a\nmodel: {widths: [40, 40]}\nsources: {b: {kind: prior, draws: 3}}"
    sweep = validate(parse_document(text, "x.yaml"), Sweep)
    assert sweep.model.widths.root == [40, 40]
    assert sweep.sources["b"] == Prior(kind="prior", draws=3)


# --- whatever the text, a SpecError or a document -------------------------------------------

FRAGMENTS = [
    *["name", "model", "sources", "kind", "train", "prior", "sgd", "optimizer", "widths", "axes"],
    *[": ", ":", "\n", "\n  ", "\n    ", "- ", "? ", "{", "}", "[", "]", ", ", " ", "\t"],
    *[
        '"',
        "'",
        "\\",
        "\\U",
        "\\ud800",
        "#",
        "&a ",
        "*a",
        "!",
        "!!int ",
        "!<x>",
        "|",
        ">-",
        "%",
        "@",
    ],
    *[
        "---",
        "...",
        "~",
        "1",
        "1e9",
        "0x",
        ".nan",
        "-.inf",
        "<<",
        "\x00",
        "\x85",
        "\ufeff",
        "é",
        "\r",
    ],
]
texts = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join),
    st.text(st.characters(exclude_categories=[]), max_size=60),
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(FRAGMENTS)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Sweep.model_fields, *Train.model_fields, "x"]), inner)
    ),
    max_leaves=20,
)


def problems_or_none(text: str) -> list[str]:
    try:
        validate(parse_document(text, "x.yaml"), Sweep)
    except SpecError as error:
        return error.problems or ["an error without a problem"]
    return []


def is_one_line(problem: str) -> bool:
    return problem.startswith("x.yaml:") and len(problem.splitlines()) == 1


@pytest.mark.parametrize("loader", LOADERS)
@given(text=texts)
@example(text="%YAML " + "9" * 5000 + ".1\n---\na: 1")
@settings(deadline=None, max_examples=300)
def test_garbage_is_refused_or_read(loader, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LOADER", loader)
        assert all(map(is_one_line, problems_or_none(text)))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(Sweep.model_fields, plain)))
@settings(deadline=None, max_examples=200)
def test_misshapen_data_is_refused_or_read(data):
    assert all(map(is_one_line, problems_or_none(json.dumps(data))))


def test_both_parsers_agree_on_the_table_of_scalars():
    text = "".join(f"k{i}: {scalar}\n" for i, (scalar, _) in enumerate(SCALARS))
    assert list(parse_document(text, "x.yaml").data.values()) == [value for _, value in SCALARS]
