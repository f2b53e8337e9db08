"""Screens: how tone becomes dots, and what that costs on the line."""

import numpy as np
import pytest

from app.adapters.fax_files.fax_tiff import WIDTH, encode
from app.adapters.pages.halftone import BLACK_BELOW, CELLS, MID_GREY, WHITE_ABOVE, screened, takes_more_than

SHAPE = 320, WIDTH


@pytest.mark.parametrize("screen", ["fine", "rows", *CELLS])
def test_a_darker_tone_has_more_ink_and_no_tone_vanishes(screen: str) -> None:
    tones = range(BLACK_BELOW + 4, WHITE_ABOVE - 6, 8)
    inks = [screened(np.full(SHAPE, tone, np.uint8), screen).mean() for tone in tones]
    assert inks == sorted(inks, reverse=True)
    assert 0 < inks[-1] < inks[0] < 1


@pytest.mark.parametrize("tone", range(BLACK_BELOW, WHITE_ABOVE, 13))
def test_rows_are_as_dark_as_the_tone(tone: int) -> None:
    assert screened(np.full(SHAPE, tone, np.uint8), "rows").mean() == pytest.approx(1 - tone / 255, abs=1 / 22)


@pytest.mark.parametrize("tone", range(BLACK_BELOW, WHITE_ABOVE - 20, 5))
def test_tones_that_are_told_apart_on_a_chart_are_told_apart_in_rows(tone: int) -> None:
    darker, lighter = (screened(np.full(SHAPE, grey, np.uint8), "rows").mean() for grey in (tone, tone + 20))
    assert darker > lighter


def test_rows_of_mid_grey_are_every_other_one_and_cost_a_tenth_of_dots() -> None:
    grey = np.full(SHAPE, MID_GREY, np.uint8)
    rows = screened(grey, "rows")
    assert (rows == rows[:, :1]).all()
    assert (rows[::2] != rows[1::2]).all()

    def cost(screen: str) -> int:
        packed = np.packbits(screened(grey, screen), axis=1).tobytes()
        return len(encode(packed, rows=SHAPE[0], dots_down=196).strip)

    assert 10 * cost("rows") < min(cost(screen) for screen in ("fine", "small", "upright"))


@pytest.mark.parametrize("tone", range(BLACK_BELOW, WHITE_ABOVE, 3))
def test_rows_leave_no_stripes_to_be_seen(tone: int) -> None:
    """The mean of any 16 rows, 2 mm of paper, is that of all."""
    rows = screened(np.full(SHAPE, tone, np.uint8), "rows").mean(axis=1)
    near = np.convolve(rows, np.full(16, 1 / 16), "valid")
    assert near.max() - near.min() <= 1 / 15


def test_rows_lie_on_the_page_wherever_a_part_of_it_begins() -> None:
    grey = np.random.default_rng(3).integers(0, 256, SHAPE).astype(np.uint8)
    whole = screened(grey, "rows")
    for top, left in ((0, 0), (7, 40), (250, 1000), (319, 1727)):
        assert (screened(grey[top:, left:], "rows", at=(top, left)) == whole[top:, left:]).all()


def test_the_lightest_tone_is_dashes_side_by_side_and_not_rows_far_apart() -> None:
    ink = screened(np.full(SHAPE, 240, np.uint8), "rows")
    inked = ink.any(axis=1)
    assert np.diff(np.flatnonzero(inked)).max() <= 8
    assert 0.4 < ink[inked].mean() < 0.6


def bits_of(ink: np.ndarray) -> tuple[int, np.ndarray]:
    """What they take on the line, and the lines eight dots a byte."""
    lines = np.packbits(ink, axis=1)
    return len(encode(lines.tobytes(), rows=len(ink), dots_down=196).strip) * 8, lines


@pytest.mark.parametrize("screen", ["fine", "rows", *CELLS])
@pytest.mark.parametrize("tone", [60, MID_GREY, 200, 240])
def test_no_lines_are_said_to_take_more_than_they_do(screen: str, tone: int) -> None:
    bits, lines = bits_of(screened(np.full(SHAPE, tone, np.uint8), screen))
    assert not takes_more_than(bits, lines)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_no_noise_is_said_to_take_more_than_it_does(share: float) -> None:
    chance = np.random.default_rng(7)
    wide = chance.random(SHAPE) < share
    for ink in (wide, np.repeat(wide[::4], 4, axis=0), np.repeat(wide[:, ::4], 4, axis=1)):
        bits, lines = bits_of(ink)
        assert not takes_more_than(bits, lines)


@pytest.mark.parametrize("tone", [MID_GREY, 200])
def test_dispersed_dots_are_known_to_take_long_before_they_are_coded(tone: int) -> None:
    bits, lines = bits_of(screened(np.full(SHAPE, tone, np.uint8), "fine"))
    assert takes_more_than(bits / 2, lines)
