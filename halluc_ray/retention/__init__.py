"""What of a store is kept, and the freeing of the rest: lost attempts, stages and runs that nobody needs."""

from halluc_ray.retention.collected import Collected, Item, State
from halluc_ray.retention.collecting import collect
from halluc_ray.retention.garbage import Reason

__all__ = ["Collected", "Item", "Reason", "State", "collect"]
