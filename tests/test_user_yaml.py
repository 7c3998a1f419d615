"""YAML that users write: profiles, layouts and ``--set`` are read by one strict loader."""

import pytest

from layerfusion.errors import UserError
from layerfusion.settings import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"), ("1:30", "1:30"), ("1_000", "1_000"), ("0x10", "0x10"), ("=", "="),
        ("2024-13-45", "2024-13-45"), ("yes", "yes"), ("Off", "Off"), ("<<", "<<"),
        ("10", 10), ("-3", -3), ("0", 0), ("1e-4", 1e-4), ("3.0e-4", 3e-4), (".5", 0.5),
        ("-.inf", float("-inf")), ("true", True), ("~", None), ("", None), ("'10'", "10"),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
    ],
)  # fmt: skip
def test_plain_values_mean_what_they_look_like(text, value):
    found = parse_yaml(text, "it")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: 1\nb: [", "is not valid YAML, line 2: while parsing a flow node, expected"),
        (b"a: 1\nb: {c: 1, c: 2}", "line 2: 'c' stands there twice"),
        (b"a: &x 1\nb: *x", "line 2: aliases (*) are not read"),
        (b"a: 1\n\nb: !!int x", "line 3: a value cannot be read: invalid literal for int"),
        (b"a: 1\nb: " + b"9" * 5000, "line 2: a value cannot be read: Exceeds the limit"),
        (b"a: !!timestamp x", "line 1: a value cannot be read"),
        (b"a: !python/object:os.system x", "line 1: could not determine a constructor"),
        (b"? [1]\n: 2", "line 1: while constructing a mapping, found unhashable key"),
        (b"a: 1\n---\nb: 2", "line 2: expected a single document"),
        (b"a: 1\nb: \a", "line 2: special characters are not allowed (character #x0007)"),
        ("a: 1\nb: caf\u00e9".encode("cp1252"), "is not UTF-8 from line 2 on; save it as UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path, content, words):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_yaml(path, f"profile '{path}'")
    assert str(caught.value).startswith(f"profile '{path}' ") and "\n" not in str(caught.value)
    assert words in str(caught.value)
