"""Cells in aligned columns: what fits, what is left out, where decimal points stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gittrack.cli.table import Align, Cell, Column, lay_out
from gittrack.cli.terminal import Screen
from gittrack.cli.text import count_cells


def make_column(title: str, *texts: str, rank: int = 0, align: Align = "left", least: int | None = None) -> Column:
    return Column(title, tuple(map(Cell, texts)), rank=rank, align=align, least=least)


def test_columns_are_aligned() -> None:
    columns = [
        make_column("NAME", "a", "日本"),
        make_column("SIZE", "1 B", "12 kB", align="right"),
        make_column("loss", "0.25", "1e-05", align="point"),
    ]
    assert lay_out(columns, Screen()).lines == [
        "NAME   SIZE   loss",
        "a       1 B  0.25",
        "日本  12 kB  1e-05",
    ]


def test_decimal_points_stand_below_each_other() -> None:
    numbers = ["0.25", "-12.5", "100", "nan", "", "1e-05"]
    column = make_column("x", *numbers, align="point")
    bars = make_column("", *"||||||")
    assert lay_out([bars, column], Screen(), header=False).lines == [
        "|    0.25",
        "|  -12.5",
        "|  100",
        "|  nan",
        "|",
        "|    1e-05",
    ]


def test_the_least_telling_columns_are_left_out_first() -> None:
    columns = [
        make_column("ID", "12345678", rank=0),
        make_column("OLD", "2026-01-01", rank=9),
        make_column("NAME", "brave-otter", rank=1),
    ]
    layout = lay_out(columns, Screen(25))
    assert layout.lines == ["ID        NAME", "12345678  brave-otter"]
    assert layout.left_out == ("OLD",)
    assert lay_out(columns, Screen()).left_out == ()


def test_a_column_is_narrowed_before_another_is_left_out() -> None:
    columns = [make_column("ID", "12345678"), make_column("NAME", "a-very-long-name", rank=1, least=6)]
    assert lay_out(columns, Screen(18)).lines == ["ID        NAME", "12345678  a-very-…"]
    assert lay_out(columns, Screen(15)).left_out == ("NAME",)


def test_the_last_column_is_clipped_rather_than_left_out() -> None:
    assert lay_out([make_column("", "x" * 50)], Screen(20), header=False).lines == ["x" * 19 + "…"]


def test_a_style_is_painted_and_takes_no_room() -> None:
    columns = [Column("A", (Cell("x", "FINISHED"),)), make_column("B", "y")]
    assert lay_out(columns, Screen(80, color=True)).lines == ["\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m", "\x1b[32mx\x1b[0m  y"]


cells = st.text(alphabet="ab日é ", max_size=30)
columns = st.lists(
    st.tuples(st.lists(cells, min_size=3, max_size=3), st.integers(0, 9), st.sampled_from([None, 1, 8])),
    min_size=1,
    max_size=8,
)


@given(columns, st.integers(20, 120))
def test_no_line_is_wider_than_the_screen(drawn: list[tuple[list[str], int, int | None]], width: int) -> None:
    made = [make_column(f"C{i}", *texts, rank=rank, least=least) for i, (texts, rank, least) in enumerate(drawn)]
    layout = lay_out(made, Screen(width))
    assert all(count_cells(line) <= width for line in layout.lines)
    assert len(layout.lines) == 4
    whole = lay_out(made, Screen())
    assert all(text.strip() in "\n".join(whole.lines) for texts, *_ in drawn for text in texts)
