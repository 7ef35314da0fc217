"""How often something may happen, with the test's own clock."""

from howdah.domain.throttle import Throttle


def test_a_sliding_window() -> None:
    throttle = Throttle(limit=2, window=10, capacity=5)
    assert throttle.wait("a", 0) == 0
    throttle.note("a", 0)
    throttle.note("a", 4)
    assert throttle.wait("a", 5) == 5
    assert throttle.wait("b", 5) == 0
    assert throttle.wait("a", 10) == 0
    throttle.note("a", 10)
    assert throttle.wait("a", 10) == 4


def test_what_was_dropped_is_counted() -> None:
    throttle = Throttle(limit=1, window=10, capacity=5)
    assert [throttle.take("a", second) for second in (0, 1, 2, 10, 11, 20)] == [0, None, None, 2, None, 1]


def test_its_memory_is_bounded() -> None:
    throttle = Throttle(limit=3, window=10, capacity=100)
    for key in range(10_000):
        throttle.note(str(key), key / 1000)
        throttle.note("busy", key / 1000)
    assert len(throttle) == 100
    assert throttle.wait("busy", 10) > 0
    assert len(throttle._entries["busy"].times) == 3
