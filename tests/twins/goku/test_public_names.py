"""The names that users of twins.goku import."""

import twins.goku
from twins.goku import finished


def test_every_public_name_is_there():
    for name in twins.goku.__all__:
        assert getattr(twins.goku, name) is not None


def test_a_generator_of_events_gives_what_it_returns():
    def work():
        yield "event"
        return 3

    assert finished(work()) == 3
