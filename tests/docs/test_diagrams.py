"""The drawings of the documentation site are those of the blocks of its pages."""

from tests.docs.diagrams import FOLDER, blocks


def test_each_diagram_is_drawn_and_each_drawing_is_shown() -> None:
    assert {file.name for file in FOLDER.glob("*.svg")} == {file.name for file in blocks()}, (
        "run python -m tests.docs.diagrams"
    )


def test_a_drawing_loads_nothing() -> None:
    for file in FOLDER.glob("*.svg"):
        drawing = file.read_text()
        assert "<svg" in drawing
        assert "@import" not in drawing and "<script" not in drawing and "<image" not in drawing
