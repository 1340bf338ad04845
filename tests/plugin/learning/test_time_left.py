"""How long a fine-tune still takes, in words."""

import pytest

from napari_icmoe.learning.messages import Report
from napari_icmoe.learning.time_left import in_words, time_left


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "ten seconds"),
        (12, "10 s"),
        (58, "60 s"),
        (89, "90 s"),
        (91, "1½ min"),
        (200, "3¼ min"),
        (299, "5 min"),
        (1799, "30 min"),
    ],
)
def test_spans_of_time_are_told_as_a_person_would(seconds, words):
    assert in_words(seconds) == words


def test_while_encoding_the_time_for_learning_is_added_and_no_more_is_known():
    report = Report("progress", "encoding", 3, 20, seconds_left=17.0)
    assert time_left(report, 40.0) == "at most about 55 s left, then the measurement"
    replay = Report("progress", "encoding", 20, 20)
    assert time_left(replay, 40.0) == "at most about 40 s left, then the measurement"


def test_while_learning_it_is_the_time_to_the_end():
    report = Report("progress", "training", 30, seconds_left=25.0, afterwards=16.0)
    assert time_left(report, 40.0) == "at most about 40 s left in all"
    unknown = Report("progress", "training", 30, seconds_left=25.0)
    assert time_left(unknown, 40.0) == "at most about 25 s left, then the measurement"


def test_while_measuring_it_is_an_estimate_and_before_anything_is_seen_nothing():
    report = Report("progress", "evaluating", 3, 20, seconds_left=17.0)
    assert time_left(report, 40.0) == "about 15 s left"
    assert time_left(Report("progress", "loading"), 40.0) == ""
    assert time_left(Report("progress", "training", 1), 40.0) == ""
