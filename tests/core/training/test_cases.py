"""Which files belong together, and to whom."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from icmoe_core.errors import DatasetError, InputFileError
from icmoe_core.io.suffixes import suffix_of
from icmoe_core.samples import SAMPLES
from icmoe_core.training.cases import case_name, match_files, patient_named, patient_of
from icmoe_core.training.listing import natural_order


@pytest.fixture
def put(tmp_path):
    """Make small files of any format by their names, in a folder; returns the folder."""

    def put(folder, *names):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name in names:
            path = place / name
            if suffix_of(path) == ".npy":
                np.save(path, np.zeros((4, 5), np.uint8))
            elif suffix_of(path) == ".tif":
                tifffile.imwrite(path, np.zeros((4, 5), np.uint8))
            else:
                path.touch()
        return place

    return put


def names(cases):
    return [(case.name, case.image.name, case.labels.name) for case in cases]


@pytest.mark.parametrize("ending", ["", "_label", "_labels", "_mask", "_seg"])
@pytest.mark.parametrize(("image", "stem"), [("a.nii.gz", "a"), ("a_image.nrrd", "a")])
def test_labels_are_found_by_their_images_names(put, image, stem, ending):
    images, labels = put("images", image), put("labels", f"{stem}{ending}.png")
    (case,) = match_files(images, labels)
    assert (case.name, case.patient) == ("a", "a")
    assert (case.image, case.labels) == (images / image, labels / f"{stem}{ending}.png")


def test_an_image_ending_may_stay_in_the_labels_name(put):
    assert names(match_files(put("i", "a_image.nii"), put("l", "a_image_seg.nii"))) == [
        ("a", "a_image.nii", "a_image_seg.nii")
    ]


def test_all_other_files_are_passed_over(put):
    images = put(
        "images", "p2.png", "p10.png", "p3.tif", ".p4.png", "._p2.png", "notes.txt", "Thumbs.db"
    )
    (images / "p5.png").mkdir()
    labels = put("labels", "p10.npy", "p2_mask.nii.gz", "p7.png", ".p3.png", "p2.json")
    assert names(match_files(images, labels)) == [
        ("p2", "p2.png", "p2_mask.nii.gz"),
        ("p10", "p10.png", "p10.npy"),
    ]


def test_files_and_sequences_of_them(put):
    images, labels = put("i", "a.nii", "b.nii", "c.nii"), put("l", "a.nii", "b.nii", "c.nii")
    chosen = [images / "c.nii", str(images / "a.nii")]
    assert [case.name for case in match_files(chosen, labels)] == ["c", "a"]
    assert [case.name for case in match_files(images, labels / "b.nii")] == ["b"]
    assert [case.name for case in match_files([images, images / "a.nii"], labels)] == [*"abc"]


def test_one_image_and_one_label_file_need_no_common_name(put):
    image, label = put("i", "scan_image.nii") / "scan_image.nii", put("l", "truth.png")
    for images, labels in ((image, label / "truth.png"), ([image], [label / "truth.png"])):
        assert names(match_files(images, labels)) == [("scan", "scan_image.nii", "truth.png")]
    with pytest.raises(DatasetError):
        match_files(image, label)  # a folder, that happens to hold one file


def test_images_and_labels_in_one_folder():
    folder = SAMPLES["brain1"].image.parent
    assert names(match_files(folder, folder)) == [
        ("brain1", "brain1_image.nrrd", "brain1_label.nrrd"),
        ("mr_abdomen", "mr_abdomen.nii.gz", "mr_abdomen_labels.nii.gz"),
    ]


def save_series(folder, count=2):
    folder.mkdir(parents=True)
    for index in range(count):
        image = sitk.GetImageFromArray(np.zeros((1, 4, 4), np.int16))
        sitk.WriteImage(image, str(folder / f"{index}.dcm"))
        (folder / f"{index}.dcm").rename(folder / f"IM{index}.1.2")  # known by content alone


def test_a_dicom_folder_is_one_case(put, tmp_path):
    save_series(tmp_path / "images" / "p1" / "series")
    save_series(tmp_path / "images" / "p2")
    (tmp_path / "images" / "empty").mkdir()
    labels = put("labels", "p1.nii.gz", "p2_seg.nii.gz", "IM0.nii.gz")
    assert names(match_files(tmp_path / "images", labels)) == [
        ("p1", "p1", "p1.nii.gz"),
        ("p2", "p2", "p2_seg.nii.gz"),
    ]
    series = tmp_path / "images" / "p2"
    assert names(match_files(series, labels)) == [("p2", "p2", "p2_seg.nii.gz")]
    assert names(match_files(series, labels / "IM0.nii.gz")) == [("p2", "p2", "IM0.nii.gz")]
    put("labels", "p3.nii")
    both = [series, put("more", "p3.nii")]
    assert [case.name for case in match_files(both, labels)] == ["p2", "p3"]


def test_no_common_name_is_said_with_examples_of_both(put):
    images = put("i", *(f"scan{n}.nii" for n in range(5)))
    with pytest.raises(DatasetError, match=r"scan0\.nii.*2 more.*truth1\.png") as caught:
        match_files(images, put("l", "truth1.png", "truth2.png"))
    assert "_label" in str(caught.value)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (["a.nii"], ["a.nii", "a_mask.nii"], "2 label files"),
        (["a.nii"], ["a.nii", "a.png"], "2 label files"),
        (["a.nii", "a.png"], ["a.npy"], "two images of one name"),
        (["a.nii", "a_image.nii"], ["a.npy"], "two images of one name"),
        (["a.nii", "a_seg.nii"], ["a_seg.npy"], "could be the labels of"),
        (["a.nii"], ["a.jpg"], "JPEG"),
        ([], ["a.nii"], "no image in"),
        (["a.nii"], [], "no label file in"),
    ],
)
def test_what_is_ambiguous_or_missing_is_refused(put, images, labels, words):
    with pytest.raises(DatasetError, match=words):
        match_files(put("i", *images), put("l", *labels))


def test_missing_files_and_empty_sequences(put, tmp_path):
    labels = put("l", "a.nii")
    with pytest.raises(InputFileError, match="nowhere"):
        match_files(tmp_path / "nowhere", labels)
    with pytest.raises(DatasetError, match="no image"):
        match_files([], labels)


def test_numbered_pictures_are_of_one_patient_and_volumes_are_not(put):
    images = put("i", "p01_003.png", "p01_004.png", "p02_1.npy", "x_12a.png", "_7.tif")
    for number in (1, 2):
        tifffile.imwrite(images / f"stack_{number}.tif", np.zeros((6, 7, 8), np.uint8))
        np.save(images / f"volume_{number}.npy", np.zeros((6, 7, 8), np.uint8))
        (images / f"brats_{number}.nii.gz").touch()
    (images / "damaged_1.npy").touch()
    found = {case.name: case.patient for case in match_files(images, put_labels(images))}
    numbered = [f"{kind}_{n}" for kind in ("stack", "volume", "brats") for n in (1, 2)]
    own = {name: name for name in ("x_12a", "_7", "damaged_1", *numbered)}
    assert found == {"p01_003": "p01", "p01_004": "p01", "p02_1": "p02", **own}


def put_labels(images):
    labels = images.parent / "labels"
    shutil.copytree(images, labels)
    return labels


def test_patients_may_be_given(put):
    images, labels = (
        put("i", "a_1.png", "b_2.png", "c.nii"),
        put("l", "a_1.png", "b_2.png", "c.npy"),
    )
    known = match_files(images, labels, patients={"a_1": "Ann", "c": "Ann"})
    assert [case.patient for case in known] == ["Ann", "b", "Ann"]
    called = match_files(images, labels, patients=lambda name: name[:1].upper())
    assert [case.patient for case in called] == ["A", "B", "C"]


def test_names_in_the_order_people_expect(put):
    assert sorted(["p10", "p2", "p", "10", "9"], key=natural_order) == ["9", "10", "p", "p2", "p10"]
    assert patient_of("p_", put("i", "p_.png") / "p_.png") == "p_"


def test_a_case_and_its_patient_are_named_without_reading_the_image(tmp_path):
    assert case_name(tmp_path / "p01_003_image.nii.gz") == "p01_003"
    assert patient_named("p01_003", picture=True) == "p01"
    assert patient_named("p01_003", picture=False) == "p01_003"
    assert patient_named("_3", picture=True) == "_3"
