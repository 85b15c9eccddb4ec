"""What a log says of an error: enough to find it, and no text of a sample."""

import pytest

from halluc_ray.errors import HallucRayError, InputError
from halluc_ray.logs import reason_of

QUOTED = 'ValueError: Zanzibar\nTraceback:\n  File "/x/score.py", line 7, in f'


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("Zanzibar"), "ValueError"),
        (HallucRayError("ValueError: Zanzibar"), "ValueError"),
        (HallucRayError("Zanzibar"), "HallucRayError"),
        (HallucRayError(QUOTED), "ValueError in score.py line 7"),
        (InputError("row 7 is null\nmore"), "InputError: row 7 is null"),
    ],
)
def test_reasons(error, said):
    assert reason_of(error) == said
