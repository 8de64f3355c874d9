"""The page of reproductions says what its records say."""

import re

import pytest

from tests.benchmarks import published


def test_the_page_is_the_template_filled_in_from_the_records():
    assert published.PAGE.read_text() == published.page()


def test_a_changed_record_changes_the_page(tmp_path, monkeypatch):
    for path in published.RECORDS.glob("*.json"):
        changed = re.sub(r'"value": "(-?)\d', r'"value": "\g<1>7', path.read_text())
        (tmp_path / path.name).write_text(changed)
    monkeypatch.setattr(published, "RECORDS", tmp_path)
    assert published.PAGE.read_text() != published.page()


def test_a_field_that_no_row_answers_is_refused():
    with pytest.raises(LookupError, match="0 rows"):
        published.looked_up("sensing_width", "source=nobody", None)
