"""What is held out, and what the user is told about it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.errors import DatasetError
from icmoe_core.samples import SAMPLES
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices
from icmoe_core.training.splits import split_by_patient
from icmoe_core.windowing import Window


def part(patient="p1", index=0, classes=(1,), case=None, axis=2):
    labels = np.zeros((4, 8), np.uint8)
    labels[0, : len(classes)] = classes
    window = Window(0, 1)
    name = patient if case is None else case
    return LabelledSlice(name, patient, axis, index, labels, labels, window, (1.0, 1.0), classes)


def scan(patient, count, classes=(1,)):
    return [part(patient, index, classes) for index in range(count)]


def places(slices):
    return [(found.case, found.index) for found in slices]


def classes_of(slices):
    return {label for found in slices for label in found.classes}


def test_whole_patients_are_held_out():
    slices = [found for number in range(10) for found in scan(f"p{number}", 3 + number)]
    split = split_by_patient(slices, validation=0.2)
    assert len(split.held_out) == 2
    assert {found.patient for found in split.validation} == set(split.held_out)
    assert not {found.patient for found in split.train} & set(split.held_out)
    assert len(split.train) + len(split.validation) == len(slices)
    assert all(name in split.rule for name in split.held_out)
    assert f"{len(split.validation)} slices" in split.rule
    assert split.notices == ()


def test_the_seed_decides_which_and_the_order_of_the_slices_does_not():
    slices = [found for number in range(10) for found in scan(f"p{number}", 3)]
    first, again = split_by_patient(slices, seed=3), split_by_patient(slices[::-1], seed=3)
    assert first.held_out == again.held_out
    assert places(first.train) == places(again.train)
    assert len({split_by_patient(slices, seed=seed).held_out for seed in range(20)}) > 3


@pytest.mark.parametrize("seed", range(6))
def test_two_patients_hold_out_one(seed):
    split = split_by_patient([*scan("a", 9), *scan("b", 2)], seed=seed)
    assert len(split.held_out) == 1
    assert "Patient " in split.rule


@pytest.mark.parametrize("seed", range(6))
def test_a_patient_with_a_class_of_its_own_is_learnt_from(seed):
    slices = [*scan("a", 3), *scan("b", 3, (1, 2)), *scan("c", 3)]
    assert split_by_patient(slices, validation=0.9, seed=seed).held_out in [("a", "c"), ("a",)]
    assert "b" not in split_by_patient(slices, seed=seed).held_out


def test_no_patient_can_be_spared():
    split = split_by_patient([*scan("a", 4, (1,)), *scan("b", 10, (2,))], validation=0.2)
    assert places(split.validation) == [("a", 3), ("b", 8), ("b", 9)]
    assert classes_of(split.train) == {1, 2}
    assert "No patient can be held out" in split.rule


def test_a_single_patient_holds_out_the_end():
    split = split_by_patient(scan("p1", 20), validation=0.2)
    assert places(split.validation) == [("p1", index) for index in range(16, 20)]
    assert places(split.train) == [("p1", index) for index in range(15)]  # 15 is too like 16
    assert split.held_out == tuple(f"p1, slice {index}" for index in range(16, 20))
    assert "single patient, p1" in split.rule
    assert "held out, 4 of 20 slices in all; 1 slice beside it is in neither part." in split.rule


def test_slices_that_are_apart_are_no_neighbours():
    slices = [part("p1", index) for index in range(0, 100, 10)]
    split = split_by_patient(slices)
    assert len(split.train) == 8
    assert "beside" not in split.rule


def test_the_block_is_the_same_places_in_all_series_of_a_patient():
    series = [part("p1", index, case=case) for case in ("t1", "t2") for index in range(10)]
    series += [part("p1", index, case="t3") for index in (6, 7)]
    split = split_by_patient(series, validation=0.2)
    assert places(split.validation) == [("t1", 8), ("t1", 9), ("t2", 8), ("t2", 9)]
    assert {index for _, index in places(split.train)} == set(range(7)), "7 is too like 8"


def test_a_single_place_is_not_divided():
    split = split_by_patient([part("p1", 3, case=case) for case in ("t1", "t2")])
    assert (len(split.train), split.validation) == (2, ())
    assert "same place" in split.rule


def test_few_slices_are_all_used():
    split = split_by_patient(scan("p1", 3))
    assert (places(split.train), places(split.validation)) == ([("p1", 0), ("p1", 1)], [("p1", 2)])


def test_the_pictures_of_one_patient_are_neighbours_by_their_numbers():
    slices = [part("p1", case=f"p1_{number}", axis=None) for number in range(1, 12)]
    split = split_by_patient(slices)
    assert split.held_out == ("p1_10", "p1_11")
    assert [found.case for found in split.train] == [f"p1_{number}" for number in range(1, 9)]


def test_the_block_is_moved_or_shortened_where_a_class_would_be_lost():
    only_at_the_end = [*scan("p1", 8), part("p1", 8, (2,)), part("p1", 9, (2,))]
    split = split_by_patient(only_at_the_end, validation=0.2)
    assert places(split.validation) == [("p1", 0), ("p1", 1)]
    both_ends = [part("p1", 0, (3,)), *scan("p1", 5)[1:], part("p1", 5, (2,))]
    split = split_by_patient(both_ends, validation=0.2)
    assert places(split.validation) == [("p1", 1)]
    assert classes_of(split.train) == {1, 2, 3}


def test_nothing_can_be_held_out():
    split = split_by_patient([part()])
    assert (len(split.train), split.validation, split.held_out) == (1, (), ())
    assert "only slice" in split.rule
    split = split_by_patient([part(index=0, classes=(1,)), part(index=1, classes=(2,))])
    assert (len(split.train), split.validation) == (2, ())
    assert "label more slices" in split.rule
    assert split_by_patient(scan("p1", 5), validation=0).validation == ()


def test_rare_classes_are_named():
    slices = [*scan("a", 3), *scan("b", 3), part("c", 0, (1, 7))]
    (notice,) = split_by_patient(slices).notices
    assert notice.startswith("Class 7 is labelled on one slice only")
    (notice,) = split_by_patient(slices, names={1: "Liver", 7: "The Cyst"}).notices
    assert notice.startswith("Class 'The Cyst' is labelled on one slice only")
    many = [part("d", 0, tuple(range(1, 9)))]
    (notice,) = split_by_patient([*slices, *many]).notices
    assert "Classes 2, 3, 4, 5, 6 and 1 more are" in notice


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.integers(0, 12),
            st.sets(st.integers(1, 5), min_size=1).map(lambda found: tuple(sorted(found))),
        ),
        min_size=1,
        max_size=25,
        unique_by=lambda found: found[:2],
    ),
    st.floats(0.01, 0.95),
    st.integers(0, 5),
)
def test_every_split_keeps_the_rules(given, validation, seed):
    slices = [part(*found) for found in given]
    split = split_by_patient(slices, validation, seed)
    train, measured = set(map(id, split.train)), set(map(id, split.validation))
    assert not train & measured
    assert train | measured <= set(map(id, slices))
    assert classes_of(split.train) == classes_of(slices)
    assert bool(split.validation) == bool(split.held_out)
    assert split.rule.endswith((".", "result."))
    if set(split.held_out) <= set("abcd") and split.held_out:
        assert len(train) + len(measured) == len(slices)
        assert not {found.patient for found in split.train} & set(split.held_out)
    counts = Counter(label for found in slices for label in found.classes)
    rare = [label for label in counts if counts[label] == 1]
    assert bool(split.notices) == bool(rare)


def test_a_real_scan_is_split():
    sample = SAMPLES["mr_abdomen"]
    slices = read_slices(match_files(sample.image, sample.labels)[0])
    split = split_by_patient(slices)
    assert classes_of(split.train) == classes_of(slices)
    assert split.validation
    indices = [found.index for found in split.validation]
    assert indices == list(range(indices[0], indices[-1] + 1))
    assert min(abs(a.index - b) for a in split.train for b in indices) == 2


def test_what_cannot_be_learnt_is_refused():
    with pytest.raises(DatasetError, match="no labelled slice"):
        split_by_patient([])
    whole = np.full((5, 6), 3, np.uint8)
    full = LabelledSlice("a", "a", 2, 0, whole, whole, Window(0, 1), (1.0, 1.0), (3,))
    with pytest.raises(DatasetError, match="whole picture"):
        split_by_patient([full, full])
    assert split_by_patient([full, *scan("a", 3, (3,))])
    for share in (-0.1, 1, 2):
        with pytest.raises(DatasetError, match="less than 1"):
            split_by_patient(scan("a", 3), validation=share)


# Patients that are named


def test_the_patients_that_are_named_are_held_out():
    slices = [found for number in range(4) for found in scan(f"p{number}", 3)]
    split = split_by_patient(slices, validation=0.5, held_out=["p2"])
    assert split.held_out == ("p2",)
    assert {found.patient for found in split.validation} == {"p2"}
    assert len(split.train) == 9


def test_a_patient_who_is_not_there_cannot_be_held_out():
    with pytest.raises(DatasetError, match=r"Patient q.*choose among a, b"):
        split_by_patient([*scan("a", 3), *scan("b", 3)], held_out=["q"])


def test_a_patient_without_whom_a_class_is_lost_cannot_be_held_out():
    with pytest.raises(DatasetError, match=r"no other slice shows class 2: hold out"):
        split_by_patient([*scan("a", 3), *scan("b", 3, (1, 2))], held_out=["b"])
