"""Finding slides: each once, nothing left out in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pathsearch.errors import SlideNotFoundError
from pathsearch.slides import find_slides
from pathsearch.slides.discovery import files_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path, **options: bool) -> list[str]:
    return [slide.path.relative_to(folder).as_posix() for slide in find_slides([folder], **options)]


def dicom(path: Path, series: str, kind: str, size: int = 100) -> None:
    """A DICOM file with no more than what tells it apart."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.ImageType = ["DERIVED", "PRIMARY", kind, "NONE"]
    data.SOPInstanceUID = generate_uid()
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    data.SeriesInstanceUID = series
    data.TotalPixelMatrixColumns = data.TotalPixelMatrixRows = size
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def test_folders_are_walked_in_order_whatever_the_case_of_suffixes(tmp_path: Path) -> None:
    touch(tmp_path, "b.SVS", "a.tiff", "sub/d.ndpi", "sub/c.Tif", "notes.txt", "broken.svs")
    assert names(tmp_path) == ["a.tiff", "b.SVS", "broken.svs", "sub/c.Tif", "sub/d.ndpi"]
    assert {slide.root for slide in find_slides([tmp_path])} == {tmp_path}


def test_hidden_files_and_libraries_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "._a.svs", ".cache/b.svs", "lib.pathsearch/thumbnails/c.png")
    assert names(tmp_path, pictures=True) == ["a.svs"]


def test_pictures_only_where_they_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.JPG", "c.svs")
    assert names(tmp_path) == ["c.svs"]
    assert names(tmp_path, pictures=True) == ["a.png", "b.JPG", "c.svs"]
    assert [slide.path.name for slide in find_slides([tmp_path / "a.png"])] == ["a.png"]


def test_a_named_file_is_found_under_its_parent_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "odd.xyz")
    (slide,) = find_slides([tmp_path / "odd.xyz"])
    assert (slide.path, slide.root) == (tmp_path / "odd.xyz", tmp_path)
    assert slide.files == (tmp_path / "odd.xyz",)


def test_an_mrxs_is_one_slide_with_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.mrxs", "a/Slidedat.ini", "a/Data0000.dat", "a/Index.dat")
    (slide,) = find_slides([tmp_path])
    assert slide.path == tmp_path / "a.mrxs"
    assert {file.name for file in slide.files} == {
        "a.mrxs", "Data0000.dat", "Index.dat", "Slidedat.ini",
    }  # fmt: skip


def test_a_hamamatsu_vms_names_its_files(tmp_path: Path) -> None:
    touch(tmp_path, "a_map.jpg", "a_0.jpg", "other.jpg")
    (tmp_path / "a.vms").write_text("[Virtual Microscope]\nImageFile=a_0.jpg\nMapFile=a_map.jpg\n")
    assert {file.name for file in files_of(tmp_path / "a.vms")} == {
        "a.vms", "a_0.jpg", "a_map.jpg",
    }  # fmt: skip


def test_a_dicom_series_is_one_slide_label_and_macro_among_its_files(tmp_path: Path) -> None:
    for name, series, kind, size in [
        ("1.dcm", "1.2.3", "LABEL", 900),
        ("2.dcm", "1.2.3", "VOLUME", 100),
        ("3", "1.2.3", "VOLUME", 400),
        ("4.dcm", "1.2.3", "OVERVIEW", 900),
        ("5.dcm", "1.2.4", "VOLUME", 100),
    ]:
        dicom(tmp_path / "case" / name, series, kind, size)
    found = find_slides([tmp_path])
    assert [slide.path.name for slide in found] == ["3", "5.dcm"]
    assert [file.name for file in found[0].files] == ["1.dcm", "2.dcm", "3", "4.dcm"]
    # Named one by one, or through a pattern, it is still one.
    files = [tmp_path / "case" / f"{i}.dcm" for i in (1, 2, 4)]
    assert [slide.path.name for slide in find_slides(files)] == ["3"]
    assert len(find_slides([str(tmp_path / "case" / "*")])) == 2


def test_a_damaged_dicom_file_stands_alone(tmp_path: Path) -> None:
    dicom(tmp_path / "good.dcm", "1.2.3", "VOLUME")
    (tmp_path / "bad.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    assert names(tmp_path) == ["bad.dcm", "good.dcm"]


def test_patterns_are_expanded_and_what_is_named_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a1.svs", "a2.svs", "b.svs")
    found = find_slides([str(tmp_path / "a*.svs"), tmp_path / "a1.svs", tmp_path])
    assert [slide.path.name for slide in found] == ["a1.svs", "a2.svs", "b.svs"]


def test_a_file_whose_name_looks_like_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].svs")
    assert [slide.path.name for slide in find_slides([tmp_path / "a[1].svs"])] == ["a[1].svs"]


@pytest.mark.parametrize("name", ["missing.svs", "*.svs"])
def test_what_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(SlideNotFoundError, match=r"matches no file|no such file"):
        find_slides([tmp_path / name])


def test_links_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.svs")
    try:
        os.symlink(tmp_path, tmp_path / "sub" / "back", target_is_directory=True)
    except OSError:
        pytest.skip("this system does not make links")
    assert names(tmp_path) == ["sub/a.svs"]


def test_the_real_dicom_folder_is_one_slide(data_dir: Path) -> None:
    (slide,) = find_slides([data_dir / "slides" / "CMU-1-dicom"])
    assert len(slide.files) == 4
    assert slide.path.name.endswith("852419.dcm")
