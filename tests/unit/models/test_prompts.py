"""Templates: literal text and names, and nothing that could run."""

import pickle

import pytest

from halluc_ray.errors import SpecError
from halluc_ray.models.prompts import UnusableRow, fill, fill_row, parse
from halluc_ray.records import Sample


def test_names_and_literal_braces():
    template = parse("{{{prompt}}} and {context}}}")
    assert template.names == {"prompt", "context"}
    assert fill(template, {"prompt": "p", "context": "c"}) == "{p} and c}"


def test_values_are_never_expanded_again():
    assert fill(parse("{prompt}"), {"prompt": "{context} {{x}} {0.__class__}"}) == "{context} {{x}} {0.__class__}"


@pytest.mark.parametrize("name", ["promt", "prompt.__class__", "prompt!r", "prompt:>10", "问题", " a column "])
def test_whatever_stands_in_braces_is_a_name(name):
    template = parse(f"{{{name}}}")
    assert template.names == {name}
    assert fill(template, {name: "x"}) == "x"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{}", r"systems\[0\].template: the placeholder at character 0 of '\{\}' has no name"),
        ("a { } b", "the placeholder at character 2 .* has no name"),
        ("{prompt", "'{' at character 0 .* has no partner"),
        ("a } b", "'}' at character 2"),
        ("{a{prompt}}", "'{' at character 0"),
    ],
)
def test_braces_without_a_name_or_a_partner_are_refused(template, message):
    with pytest.raises(SpecError, match=message):
        parse(template, where="systems[0].template")


def test_a_null_role_fails_the_row_with_its_name():
    with pytest.raises(UnusableRow) as caught:
        fill(parse("{context}{prompt}"), {"prompt": "p"})
    assert caught.value.reason == "null_context"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, str(again)) == ("null_context", str(caught.value))


def test_an_id_is_the_rows_and_where_none_is_mapped_the_column_of_that_name():
    template = parse("{id}: {prompt}")
    assert fill_row(template, Sample(0, "q7", {"prompt": "p"})) == "q7: p"
    assert fill_row(template, Sample(0, "0123abcd:0", {"prompt": "p", "id": "q7"})) == "q7: p"
