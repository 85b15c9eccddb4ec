"""What a run says about itself while it goes on: events with fields, through the standard `logging`.

Rooms above log an event with `extra=` fields and know nothing of formats; whoever starts a process chooses
one (`cli.logs`, and the actor for its own file). No text of a sample and no secret is ever a field.
"""

from halluc_ray.logs.lines import Line, LineKeeper, say_again
from halluc_ray.logs.reasons import reason_of
from halluc_ray.logs.streams import lines_to

__all__ = ["Line", "LineKeeper", "lines_to", "reason_of", "say_again"]
