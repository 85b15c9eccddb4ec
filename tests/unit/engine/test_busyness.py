"""The share of time inside the model, on a clock of the test's own."""

from halluc_ray.engine.busyness import WINDOW_S, Busyness


def test_waiting_lowers_the_share_and_time_inside_the_model_raises_it():
    busy = Busyness()
    assert busy.share(0.0, idle=()) is None
    busy.begin("a", 0.0)
    busy.begin("b", 0.0)
    busy.report("a", 8.0, 10.0)
    assert busy.share(10.0, idle=()) == 0.8
    busy.report("b", 2.0, 10.0)
    assert busy.share(10.0, idle=()) == 0.5
    assert busy.share(20.0, idle=("b",)) == 10 / 30


def test_what_is_older_than_the_window_counts_no_more_but_for_a_long_task():
    busy = Busyness()
    busy.begin("a", 0.0)
    busy.begin("b", 0.0)
    busy.report("a", 0.0, 10.0)
    busy.report("b", 10.0, 10.0)
    later = 10.0 + WINDOW_S + 1
    busy.report("a", 0.5 * (WINDOW_S + 1), later)
    assert busy.share(later, idle=()) == (0.5 * (WINDOW_S + 1) + 10) / (WINDOW_S + 1 + 10)
    busy.end("b")
    assert busy.share(later, idle=("b",)) == 0.5


def test_what_nobody_asks_for_is_forgotten_too():
    busy = Busyness()
    busy.begin("a", 0.0)
    for second in range(1000):
        busy.report("a", 0.5, float(second))
    assert len(busy._spans) <= WINDOW_S + 1


def test_a_model_is_never_busier_than_its_actor():
    busy = Busyness()
    busy.begin("a", 5.0)
    busy.report("a", 99.0, 6.0)
    assert busy.share(6.0, idle=()) == 1.0
