"""Topics by their paths, and what an entry says of one."""

import pytest

from sweep_engine.explain import Book, NoSuchTopic, as_map, as_text
from sweep_engine.explain.docstrings import told
from sweep_engine.explain.text import WIDTH


@pytest.fixture(scope="module")
def book() -> Book:
    return Book({})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("task.boolean.bits", "task.boolean.bits"),
        ("tasks", "task"),
        ("source.train", "sources.train"),
        ("observable.rank", "observables.rank"),
        ("law.gaussian.std", "sources.prior.law.gaussian.std"),
        ("optimizer.sgd", "sources.train.optimizer.sgd"),
        ("compare[0].source", "compare.source"),
        ("sources.train.init.layers.layers.0.box", "sources.train.init.layers.layers.box"),
        ("sources.snapshot.from", "sources.snapshot.from"),
        ("estimate.source_quantile_0.05", "estimate.source_quantile_0.05"),
        ("column.canonical_pca_17", "column.canonical_pca_1"),
    ],
)
def test_a_path_leads_to_its_topic(book: Book, path: str, found: str):
    assert book.find(path).path == found
    assert book.find(path).entry.path == found


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("task.boolen", "did you mean task.boolean?"),
        ("sources.train.optimizer.sgd.momentun", "sources.train.optimizer.sgd.momentum"),
        ("sources.train.optimizer.learning_rate", "sources.train.optimizer.sgd.learning_rate"),
        ("l2_norm", "column.l2_norm"),
        ("estimator.kn", "estimator.knn"),
        ("column.nothing_like_it_7", "there is no 'nothing_like_it_7' below column"),
    ],
)
def test_a_misspelt_path_names_its_neighbours(book: Book, path: str, hint: str):
    with pytest.raises(NoSuchTopic) as unknown:
        book.find(path)
    assert hint in str(unknown.value)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("sources.train.optimizer.sgd.momentum", "yes, as sources.mine.optimizer.momentum; one"),
        ("sources.snapshot.at", "one compiled program serves all values"),
        ("model.mlp.widths", "yes, as model.widths; each value compiles"),
        ("sources.train.runs", "no; runs says how many runs there are"),
        ("sources.train.record.every", "no; record changes no run"),
        ("sources.snapshot.from", "no; which source runs start from cannot be swept"),
        ("sources.train.init.layers.layers.box.half_width", "init.layers.0.half_width; one"),
        ("compare.source", "no; axes go over the fields of task, model and sources"),
        ("task", "no; axes go over"),
    ],
)
def test_an_entry_says_whether_a_field_may_be_swept(book: Book, path: str, says: str):
    assert says in book.find(path).entry.sweepable


@pytest.mark.parametrize(
    ("path", "type_", "default"),
    [
        ("task.boolean.bits", "a whole number, at least 1 and at most 16", "7"),
        ("sources.train.batch_size", "a whole number, at least 1 or full", "full"),
        ("sources.train.init", "a mapping with a `kind`", "{kind: lecun_normal}"),
        ("sources.train.optimizer.sgd.momentum", "a number, at least 0 and below 1", "0.0"),
        ("sources.train.optimizer.sgd.nesterov", "true or false", "false"),
        ("sources.train.stop.train_loss", "a number, above 0", "left out"),
        ("sources.posterior.target_acceptance", "a number, above 0 and below 1", "left out"),
        ("sources.train.runs", "a whole number, at least 1 and at most 4,294,967,296", "required"),
        ("model.mlp.widths", "a list of whole numbers of at least 1", "[40, 40]"),
        ("compare.where", "a mapping of names to [a number, a number]", "left out"),
        ("axes.zip", "a list of mappings of names to mappings", "[]"),
        ("compare.reference", "text", "left out"),
    ],
)
def test_an_entry_says_what_may_stand_there(book: Book, path: str, type_: str, default: str):
    assert (book.find(path).entry.type, book.find(path).entry.default) == (type_, default)


def test_a_kind_that_a_validator_refuses_is_not_offered(book: Book):
    laws = book.find("sources.train.init.balanced_units.law").children
    assert "gaussian" in laws
    assert "ternary" not in laws
    assert "ternary" in book.find("law").children


def test_the_source_of_a_method_stands_apart(book: Book):
    entry = book.find("task.matrix_sensing").entry
    assert entry.source.startswith("Arora, Cohen, Hu & Luo (2019)")
    assert "Arora" not in entry.meaning


def test_an_estimate_that_is_a_bound_says_so(book: Book):
    assert "lower bound" in book.find("estimate.kl_bound_kde").entry.meaning
    assert "lower bound" not in book.find("estimate.kl_knn").entry.meaning


class Documented:
    """Do a thing.

    In more words.

    Example:
        >>> 1
        1

    Rows: these stay.

    Source:
        A (1990), one
        two.
    """


def test_a_docstring_is_taken_apart():
    assert told(Documented) == ("Do a thing.\n\nIn more words.\n\nRows: these stay.",
                                "A (1990), one two.")  # fmt: skip


@pytest.mark.parametrize(
    "path", ["sources.splitting", "observables.flatness", "estimator.knn", "task", "axes.grid"]
)
def test_text_fits_a_terminal(book: Book, path: str):
    lines = as_text(book.find(path).entry).splitlines()
    assert max(map(len, lines)) <= WIDTH + 4  # a docstring's own layout is indented by two
    assert lines[0].startswith(book.find(path).path)


def test_the_map_names_every_kind_of_thing(book: Book):
    text = as_map(book.sections())
    for name in ("observables", "boolean", "mlp", "guess_and_check", "sgd", "flatness", "knn"):
        assert name in text
    assert max(map(len, text.splitlines())) <= WIDTH
