"""Templates: placeholders are roles and nothing else."""

import pickle

import pytest

from halluc_ray.errors import SpecError
from halluc_ray.models.prompts import UnusableRow, fill, parse


def test_roles_and_literal_braces():
    template = parse("{{{prompt}}} and {context}}}")
    assert template.roles == {"prompt", "context"}
    assert fill(template, {"prompt": "p", "context": "c"}) == "{p} and c}"


def test_values_are_never_expanded_again():
    assert fill(parse("{prompt}"), {"prompt": "{context} {{x}} {0.__class__}"}) == "{context} {{x}} {0.__class__}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{promt}", r"systems\[0\].template: \{promt\} is no role.*did you mean \{prompt\}"),
        ("{Prompt}", r"did you mean \{prompt\}"),
        ("{prompt.__class__}", "is no role"),
        ("{prompt!r}", "is no role"),
        ("{prompt:>10}", "is no role"),
        ("{}", "is no role"),
        ("{prompt", "'{' at character 0 .* has no partner"),
        ("a } b", "'}' at character 2"),
        ("{a{prompt}}", "'{' at character 0"),
    ],
)
def test_anything_but_a_role_is_refused(template, message):
    with pytest.raises(SpecError, match=message):
        parse(template, where="systems[0].template")


def test_a_null_role_fails_the_row_with_its_name():
    with pytest.raises(UnusableRow) as caught:
        fill(parse("{context}{prompt}"), {"prompt": "p"})
    assert caught.value.reason == "null_context"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, str(again)) == ("null_context", str(caught.value))
