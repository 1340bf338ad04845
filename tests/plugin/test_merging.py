import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_icmoe.merging import Overlap, merge

SHAPE = (4, 5)
LABELS = hnp.arrays(np.uint16, SHAPE, elements=st.integers(0, 4))
MASKS = hnp.arrays(bool, SHAPE)


def test_keeping_others_writes_only_background():
    current = np.array([[0, 1, 2, 3]])
    merged = merge(current, np.ones((1, 4), bool), 2, overlap=Overlap.KEEP)
    assert merged.write.tolist() == [[True, False, False, False]]
    assert merged.kept == 2


def test_replacing_spares_locked_classes_and_painted_voxels():
    current = np.array([[0, 1, 3, 4, 4]])
    painted = np.array([[False, False, False, False, True]])
    merged = merge(
        current, np.ones((1, 5), bool), 2, overlap=Overlap.REPLACE, locked=(3,), painted=painted
    )
    assert merged.write.tolist() == [[True, True, False, True, False]]
    assert merged.kept == 2


@given(
    LABELS, MASKS, MASKS, st.integers(1, 4), st.sampled_from(Overlap), st.sets(st.integers(1, 4))
)
def test_what_must_never_change_never_changes(current, mask, painted, label, overlap, locked):
    merged = merge(current, mask, label, overlap=overlap, locked=locked, painted=painted)
    after = np.where(merged.write, label, current)
    assert (after[~mask] == current[~mask]).all()
    assert not ((current != 0) & (after == 0)).any()
    protected = (current != 0) & (painted | np.isin(current, list(locked)))
    assert (after[protected] == current[protected]).all()
    if overlap is Overlap.KEEP:
        assert (after[current != 0] == current[current != 0]).all()
    assert (after[mask & (current == 0)] == label).all()
    assert merged.kept == int((mask & (after != label)).sum())
