"""The queue of slices: nearest first, in the displayed orientation, and remembered."""

from dataclasses import replace

import pytest

from napari_icmoe.ahead.queue import SliceQueue, outward
from napari_icmoe.ahead.stacks import stack_of
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice, Question
from napari_icmoe.state import Place

SHAPE = (7, 20, 30)


def question(plane, scan="scan", version=0, model=ModelChoice(), window="auto"):  # noqa: B008
    return Question(Place(scan, plane), version, (), model, window)


def shown(queue, *fixed, shape=SHAPE, **rest):
    """Display a plane."""
    return queue.show(*stack_of(question(Plane(fixed), **rest), shape))


def keys(positions):
    """Keys of encoded slices."""
    return {position: f"key {position}" for position in positions}


def emptied(queue):
    """Encode all there is, one slice after the other."""
    order = []
    while found := queue.next():
        order.extend(found)
        queue.note(queue.stack, keys(found))
    return order


def emptied_into_little(queue, room, memory):
    """Encode all there is, where so few slices are kept in `memory`: those that were used last."""
    order = []
    while found := queue.next():
        for position in queue.keys:
            if position in memory:  # it is used
                memory.remove(position)
                memory.append(position)
        memory += [position for position in found if position not in memory]
        del memory[:-room]
        order.extend(found)
        lost = {*queue.keys, *found} - {*memory}
        queue.note(queue.stack, keys(found), lost=lost, room=room)
    return order


def test_outward():
    assert list(outward(3, 0, 7)) == [3, 4, 2, 5, 1, 6, 0]
    assert list(outward(3, 0, 7, forward=False)) == [3, 2, 4, 1, 5, 0, 6]
    assert list(outward(0, 0, 3)) == [0, 1, 2]
    assert list(outward(2, 0, 3)) == [2, 1, 0]
    assert list(outward(0, 0, 1)) == [0]


def test_the_displayed_slice_comes_first_then_its_neighbours():
    queue = SliceQueue()
    assert shown(queue, 2, None, None)
    assert queue.progress == (0, 7)
    assert queue.next(3) == (2, 3, 1)
    assert emptied(queue) == [2, 3, 1, 4, 0, 5, 6]
    assert queue.progress == (7, 7)
    assert not shown(queue, 2, None, None)


def test_scrolling_puts_it_in_a_new_order():
    queue = SliceQueue()
    shown(queue, 2, None, None)
    queue.note(queue.stack, keys(queue.next(2)))
    shown(queue, 5, None, None)
    assert queue.next(9) == (5, 6, 4, 1, 0)
    shown(queue, 4, None, None)  # backwards: what lies ahead comes first
    assert queue.next(9) == (4, 5, 6, 1, 0)


def test_the_orientation_decides_which_slices_are_neighbours():
    queue = SliceQueue()
    for fixed, size in (((3, None, None), 7), ((None, 3, None), 20), ((None, None, 3), 30)):
        shown(queue, *fixed)
        assert queue.progress == (0, size)
        axis = fixed.index(3)
        planes = [queue.stack.slice_at(position) for position in queue.next(3)]
        assert [plane.fixed[axis] for plane in planes] == [3, 4, 2]
        assert {plane.cut_axis for plane in planes} == {axis}
        queue.note(queue.stack, keys([3, 4]))
    shown(queue, 4, None, None)
    assert queue.progress == (2, 7), "what was ready in another orientation still is"


def test_time_points_stay_apart_and_untouched():
    queue, shape = SliceQueue(), (3, 7, 20, 30)
    shown(queue, 1, 6, None, None, shape=shape)
    planes = [queue.stack.slice_at(position) for position in emptied(queue)]
    assert [plane.fixed[:2] for plane in planes] == [(1, k) for k in (6, 5, 4, 3, 2, 1, 0)]
    shown(queue, 2, 6, None, None, shape=shape)
    assert queue.progress == (0, 7)
    shown(queue, 1, 3, None, None, shape=shape)
    assert queue.progress == (7, 7)


def test_a_picture_is_a_stack_of_one():
    queue = SliceQueue()
    shown(queue, None, None, shape=(20, 30))
    assert queue.progress == (0, 1)
    assert [queue.stack.slice_at(position) for position in emptied(queue)] == [Plane((None, None))]
    assert not queue.next()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"scan": "other"},
        {"window": "full"},
        {"model": ModelChoice("sam-vit-b")},
        {"model": ModelChoice(device="cuda")},
    ],
    ids=str,
)
def test_whatever_embeddings_depend_on_begins_anew(change):
    queue = SliceQueue()
    shown(queue, 2, None, None)
    emptied(queue)
    shown(queue, 2, None, None, **change)
    assert queue.progress == (0, 7)
    assert queue.next() == (2,)
    shown(queue, 2, None, None)
    assert queue.progress == (7, 7), "going back costs nothing"
    assert queue.next(9) == (2,), "but to fetch the displayed slice"


def test_experts_make_no_difference():
    queue = SliceQueue()
    shown(queue, 2, None, None)
    emptied(queue)
    shown(queue, 2, None, None, model=replace(ModelChoice(), experts=None))
    assert not queue.next()
    queue.fetch_again()
    assert emptied(queue) == [2]


def test_the_displayed_slice_is_fetched_once_each_time():
    queue = SliceQueue()
    shown(queue, 2, None, None)
    emptied(queue)
    shown(queue, 4, None, None)
    assert emptied(queue) == [4]
    assert not queue.next(9)


def test_slices_that_cannot_be_encoded_are_left_out():
    queue = SliceQueue()
    shown(queue, 0, None, None)
    queue.note(queue.stack, keys([1]), skipped=[0, 2])
    assert queue.progress == (1, 5)
    assert emptied(queue) == [3, 4, 5, 6]
    shown(queue, 3, None, None)
    queue.note(queue.stack, keys([3]))
    queue.give_up(queue.stack)
    assert queue.progress == (5, 5)
    fresh = SliceQueue()
    shown(fresh, 3, None, None)
    fresh.give_up(fresh.stack)
    assert fresh.progress == (0, 0)
    assert not fresh.next(9)


def test_starting_over():
    queue = SliceQueue()
    shown(queue, 2, None, None)
    queue.note(queue.stack, keys([1, 2, 3]), skipped=[4])
    queue.start_over()
    assert queue.progress == (0, 6)
    assert emptied(queue) == [2, 3, 1, 0, 5, 6]


def test_it_reaches_so_far_only():
    queue = SliceQueue(reach=5)
    shown(queue, 500, None, None, shape=(1000, 20, 20))
    assert queue.progress == (0, 11)
    assert sorted(emptied(queue)) == list(range(495, 506))
    shown(queue, 502, None, None, shape=(1000, 20, 20))
    assert queue.progress == (9, 11)
    assert emptied(queue) == [502, 506, 507]
    shown(queue, 1, None, None, shape=(1000, 20, 20))
    assert queue.progress == (0, 7)


def test_it_reaches_no_further_than_there_is_room():
    queue, memory = SliceQueue(), []
    shown(queue, 50, None, None, shape=(100, 20, 20))
    assert queue.is_whole
    assert sorted(emptied_into_little(queue, 12, memory)) == list(range(45, 56))
    assert queue.progress == (11, 11)
    assert not queue.is_whole
    shown(queue, 52, None, None, shape=(100, 20, 20))
    assert queue.progress == (9, 11)
    assert emptied_into_little(queue, 12, memory) == [52, 56, 57], "the nearest have stayed"
    assert queue.progress == (11, 11)
    queue.start_over()  # another runtime, or a disk with room
    assert queue.is_whole


def test_what_is_not_kept_is_not_ready_and_encoded_again_for_the_next_slice():
    queue = SliceQueue()
    shown(queue, 3, None, None)
    queue.note(queue.stack, keys([3, 4, 2]), lost=[4])
    assert queue.progress == (2, 7)
    assert queue.next(9) == (5, 1, 6, 0), "not again and again"
    shown(queue, 4, None, None)
    assert queue.next(2) == (4, 5)
    queue.note(queue.stack, keys([4]))
    assert queue.progress == (3, 7)
    queue.note(queue.stack, keys([5]), lost=[2])  # since then: somebody has cleared the cache
    assert queue.progress == (3, 7)
    assert 2 in queue.next(9)


def test_what_was_lost_of_another_stack_is_encoded_when_it_is_displayed():
    queue = SliceQueue()
    shown(queue, 3, None, None)
    former = queue.stack
    emptied(queue)
    shown(queue, 3, None, None, scan="other")
    queue.note(former, {}, lost=[2, 3])
    shown(queue, 3, None, None)
    assert queue.progress == (5, 7)
    assert queue.next(9) == (3, 2)


def test_however_little_is_kept_there_is_an_end():
    queue = SliceQueue()
    shown(queue, 3, None, None)
    while found := queue.next():
        queue.note(queue.stack, keys(found), lost={*queue.keys, *found} - set(found))
    assert queue.progress == (1, 7)


def test_keys_come_with_the_farthest_first():
    queue = SliceQueue()
    assert queue.keys == {}
    shown(queue, 2, None, None)
    emptied(queue)
    assert [abs(position - 2) for position in queue.keys] == [4, 3, 2, 2, 1, 1, 0]
    assert queue.keys[5] == "key 5"


def test_what_is_remembered_is_bounded_and_forgotten_with_its_scan():
    queue = SliceQueue(stacks=3)
    for number in range(5):
        shown(queue, 2, None, None, scan=f"scan {number}")
        emptied(queue)
    assert len(queue._known) == 3
    shown(queue, 2, None, None, scan="scan 0")
    assert queue.progress == (0, 7)
    gone = queue.stack
    queue.forget("scan 0")
    assert queue.stack is None
    assert queue.progress == (0, 0)
    assert not queue.next(9)
    queue.note(gone, keys([1]))  # a portion that was on its way
    queue.give_up(gone)
    assert all(stack.scan != "scan 0" for stack in queue._known)


def test_nothing_is_displayed():
    queue = SliceQueue()
    assert not queue.next(9)
    shown(queue, 2, None, None)
    assert queue.show(None)
    assert not queue.next(9)
    assert queue.progress == (0, 0)
