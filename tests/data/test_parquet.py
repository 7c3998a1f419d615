"""Parquet files of strangers: a table or one sentence, whatever the bytes are."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerfusion.data.manifest import Manifest
from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError

DTYPES = {"name": "str", "value": "float64"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    table = pd.DataFrame({"name": ["a", "b"], "value": [0.5, 2.0], "other": 1})
    table.attrs = {"skipped": [{"path": "é", "reason": "truncated"}]}
    path = tmp_path_factory.mktemp("parquet") / "whole.parquet"
    table.to_parquet(path)
    return path


def test_columns_that_are_asked_for_come_in_their_order(whole):
    table = read_parquet(whole, {"value": "float64", "name": "str"})
    assert list(table) == ["value", "name"]
    assert list(read_parquet(whole)) == ["name", "value", "other"]


def test_what_is_missing_is_named(whole, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_parquet(tmp_path / "none.parquet")
    with pytest.raises(UserError, match="lacks the column 'label'"):
        read_parquet(whole, {"label": "int64"})
    with pytest.raises(UserError, match="has unexpected values"):
        read_parquet(whole, {"name": "float64"})


# What pandas reads besides the table: each of these once raised an error of its own.
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"skipped"', b'"skip\x01ed'),
        (b'"reason"', b'"re\xe2son"'),
        (b'"attributes"', b'"attributes\x01'),
    ],
)
def test_damaged_words_about_a_table_are_one_sentence(whole, tmp_path, was, becomes):
    data = whole.read_bytes()
    assert was in data
    path = tmp_path / "damaged.parquet"
    path.write_bytes(data.replace(was, becomes.ljust(len(was))[: len(was)]))
    with pytest.raises(UserError):
        Manifest.load(path, tmp_path)


def test_text_that_is_not_utf_8_is_one_sentence(tmp_path):
    path = tmp_path / "text.parquet"
    pd.DataFrame({"name": ["abcdefgh"] * 3, "value": 1.0}).to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abc\xffefgh"))
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_parquet(path, DTYPES)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_are_a_table_or_one_sentence(whole, tmp_path_factory, data):
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    path.write_bytes(content)
    for read in (lambda: read_parquet(path, DTYPES), lambda: Manifest.load(path, path.parent)):
        try:
            read()
        except UserError as error:
            assert "\n" not in str(error)
