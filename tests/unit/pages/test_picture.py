"""What becomes of pictures on a page. All of them are made here."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.adapters.pages.picture import PictureLayers, picture_layers
from bench.documents.pages import photograph

Plane = NDArray[np.uint8]

#: Dots of a page of A5, and of 6 mm.
HIGH, WIDE = 1620, 1188
PATCH = 46, 48
WORDS = "the invoice that was sent in March remains unpaid we kindly ask for payment within ten days".split()


def written(high: int = HIGH, wide: int = WIDE, *, ink: int = 0, ground: int = 255, scale: float = 0.8) -> Plane:
    """A page full of words."""
    page = np.full((high, wide), ground, np.uint8)
    step, margin = int(52 * scale), 60
    for line, top in enumerate(range(margin + step, high - margin, step)):
        words = " ".join(WORDS[(line * 5 + word) % len(WORDS)] for word in range(40))
        letters = int((wide - 2 * margin) / (18 * scale))
        cv2.putText(page, words[:letters], (margin, top), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 2, cv2.LINE_AA)
    return page


def through_lens(page: Plane, *, light: NDArray | float = 0.8, grain: float = 4, seed: int = 1) -> Plane:
    """Grey paper, soft letters, noise."""
    soft = cv2.GaussianBlur(page, (0, 0), 0.8).astype(float)
    seen = (25 + soft * 230 / 255) * light + np.random.default_rng(seed).normal(0, grain, page.shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def on_desk(page: Plane, desk: Plane, *, tilt: float = 3) -> tuple[Plane, NDArray[np.bool_], Callable[[Plane], Plane]]:
    """The sheet on a desk, where it lies, and what puts any plane into its place."""
    high, wide = desk.shape
    turn = cv2.getRotationMatrix2D((page.shape[1] / 2, page.shape[0] / 2), tilt, 1)
    turn[:, 2] += (wide - page.shape[1]) / 2, (high - page.shape[0]) / 2

    def placed(plane: Plane) -> Plane:
        return cv2.warpAffine(plane, turn, (wide, high), flags=cv2.INTER_LINEAR)

    lies = placed(np.full_like(page, 255)) > 127
    return np.where(lies, placed(page), desk), lies, placed


def headed(ink: int) -> Plane:
    """A letter with light words on a dark bar at its top."""
    page = written()
    page[:160] = ink
    cv2.putText(page, "Copenhagen Invoice Ltd", (80, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 255, 4, cv2.LINE_AA)
    return page


def head_of(placed: Callable[[Plane], Plane]) -> NDArray[np.bool_]:
    """Where the bar lies."""
    return placed(np.where(np.arange(HIGH)[:, None] < 130, 255, 0).astype(np.uint8).repeat(WIDE, axis=1)) > 250


def likeness(black: NDArray[np.bool_], page: Plane) -> float:
    """Of the dots that are black here or there (dark on the clean page), twice how many are both: 1 is the same."""
    clean = page < 128
    return float(2 * (black & clean).sum() / (black.sum() + clean.sum()))


def mean_ink(layers: PictureLayers) -> NDArray[np.float64]:
    """As it is when tone is screened right."""
    return np.where(layers.black, 1.0, np.where(layers.white, 0.0, 1 - layers.reference / 255))


def most_off(layers: PictureLayers) -> float:
    """By how much the worst patch of 6 mm differs from the reference."""
    off = cv2.blur(mean_ink(layers) - (1 - layers.reference / 255), PATCH[::-1])
    return float(np.abs(off).max())


def test_a_scan_of_grey_shaded_paper_becomes_black_writing_on_white() -> None:
    page = written()
    shade = np.linspace(0.9, 0.6, WIDE)[None] * np.linspace(1, 0.85, HIGH)[:, None]
    layers = picture_layers(through_lens(page, light=shade))
    assert likeness(layers.black, page) > 0.8
    assert (layers.black | layers.white).mean() > 0.99
    assert np.percentile(layers.reference, 50) == 255
    assert most_off(layers) < 1 / 3


def test_grain_leaves_no_pepper() -> None:
    page = written()
    layers = picture_layers(through_lens(page, light=0.75, grain=12))
    far = cv2.erode(page, np.ones((25, 25), np.uint8)) == 255
    assert layers.black[far].mean() < 0.0002


def test_a_shadow_across_a_sheet_leaves_no_tone() -> None:
    page = written()
    row, column = np.mgrid[0:HIGH, 0:WIDE]
    shadow = 1 - 0.5 / (1 + np.exp((np.hypot(row - 1500, column - 900) - 500) / 25))
    layers = picture_layers(through_lens(page, light=0.85 * shadow))
    assert likeness(layers.black, page) > 0.8
    assert mean_ink(layers)[cv2.erode(page, np.ones((25, 25), np.uint8)) == 255].mean() < 0.005


def test_light_grey_writing_stays() -> None:
    page = written(ink=150)
    page[: HIGH // 2] = written()[: HIGH // 2]
    layers = picture_layers(through_lens(page))
    assert likeness(layers.black[HIGH // 2 :], written()[HIGH // 2 :]) > 0.7


@pytest.mark.parametrize("desk", ["black", "grey", "grained"])
def test_what_lies_around_a_photographed_sheet_becomes_white(desk: str) -> None:
    shape = 2000, 1600
    plane = np.full(shape, {"black": 18, "grey": 120, "grained": 90}[desk], np.uint8)
    if desk == "grained":
        rough = np.random.default_rng(2).normal(0, 14, (shape[0], 40)).astype(np.float32)
        plane = np.clip(plane + cv2.resize(rough, shape[::-1]), 0, 255).astype(np.uint8)
    page = written()
    seen, lies, placed = on_desk(page, plane)
    light = np.linspace(1.0, 0.6, shape[1])[None]
    layers = picture_layers(through_lens(seen, light=light * 0.85))
    outside = ~cv2.dilate(lies.view(np.uint8), np.ones((17, 17), np.uint8)).view(bool)
    assert mean_ink(layers)[outside].mean() < 0.001
    assert (layers.reference[outside] == 255).all()
    inside = cv2.erode(lies.view(np.uint8), np.ones((41, 41), np.uint8)).view(bool)
    assert likeness(layers.black & inside, np.where(inside, placed(page), np.uint8(255))) > 0.75


def test_a_dark_bar_at_the_edge_of_a_sheet_on_a_dark_desk_stays_with_its_words() -> None:
    page = headed(60)
    seen, _, placed = on_desk(page, np.full((2000, 1600), 10, np.uint8))
    layers = picture_layers(through_lens(seen))
    bar = head_of(placed)
    bar = cv2.erode(bar.view(np.uint8), np.ones((41, 41), np.uint8)).view(bool)
    words = bar & (placed(page) > 160)
    assert mean_ink(layers)[words].mean() < 0.3
    assert mean_ink(layers)[bar & (placed(page) < 70)].mean() > 0.7


def test_light_words_on_a_bar_that_the_desk_goes_on_from_are_not_lost() -> None:
    page = headed(12)
    seen, _, placed = on_desk(page, np.full((2000, 1600), 12, np.uint8))
    layers = picture_layers(through_lens(seen))
    bar = head_of(placed)
    near = cv2.dilate((bar & (placed(page) > 160)).view(np.uint8), np.ones((9, 9), np.uint8)).view(bool)
    assert mean_ink(layers)[bar & (placed(page) > 200)].mean() < 0.3
    assert mean_ink(layers)[bar & near & (placed(page) < 40)].mean() > 0.7
    bar = cv2.erode(bar.view(np.uint8), np.ones((41, 41), np.uint8)).view(bool)
    assert mean_ink(layers)[bar & (placed(page) < 40)].mean() > 0.9, "nor is the bar beside them"
    assert mean_ink(layers)[1800:].mean() < 0.01, "the desk itself costs nothing"


@pytest.mark.parametrize("foot", [False, True])
def test_the_dark_head_of_a_scanned_letter_stays_where_the_scanner_shaded_a_side(foot: bool) -> None:
    page = headed(60)
    if foot:
        page[-160:] = 60
    light = np.minimum(1, 0.2 + np.arange(WIDE) / 40)[None]
    layers = picture_layers(through_lens(page, light=light))
    head = mean_ink(layers)[20:140, 60:-20]
    assert head[page[20:140, 60:-20] == 60].mean() > 0.7
    assert head[page[20:140, 60:-20] == 255].mean() < 0.3


@pytest.mark.parametrize("name", ["portrait", "pale", "fading"])
def test_a_photograph_printed_on_a_sheet_keeps_its_tone(name: str) -> None:
    """Also one whose sky is as bright as the paper, so that nothing lies between them, and one that fades into it."""
    page = written()
    if name == "fading":
        printed = np.clip(255 - np.arange(600) / 2, 90, 255).astype(np.uint8)[None].repeat(700, axis=0)
    else:
        printed = np.asarray(photograph("landscape" if name == "pale" else name).convert("L"))
        printed = cv2.resize(printed, (600, 700), interpolation=cv2.INTER_AREA)
    if name == "pale":
        printed = np.where(np.arange(700)[:, None] < 300, 250, 60 + 0.6 * printed).astype(np.uint8)
    page[400:1100, 200:800] = printed
    layers = picture_layers(through_lens(page))
    inside = np.s_[430:1070, 230:770]
    eye = cv2.blur(mean_ink(layers)[inside], PATCH[::-1])
    assert np.abs(eye - cv2.blur(1 - page[inside] / 255, PATCH[::-1])).max() < 1 / 3


def test_a_dark_area_on_a_sheet_stays_dark() -> None:
    page = written()
    page[500:800, 300:700] = 40
    layers = picture_layers(through_lens(page))
    assert mean_ink(layers)[520:780, 320:680].mean() > 0.8


@pytest.mark.parametrize("name", ["portrait", "landscape", "things"])
def test_a_photograph_is_all_tone(name: str) -> None:
    seen = cv2.resize(np.asarray(photograph(name).convert("L")), (1728, 2292), interpolation=cv2.INTER_CUBIC)
    layers = picture_layers(seen)
    assert np.array_equal(layers.reference, seen)
    assert (layers.black | layers.white).mean() < 0.01


@pytest.mark.parametrize("kind", ["hair", "leaves", "waves"])
def test_texture_is_no_writing(kind: str) -> None:
    state, seen = np.random.default_rng(4), np.full((1000, 1200), 110, np.uint8)
    for _ in range(12_000):
        x, y, grey = (*state.integers(0, (1200, 1000)).tolist(), int(np.clip(state.normal(120, 45), 0, 255)))
        if kind == "hair":
            cv2.line(seen, (x, y), (x + 60, y + 190), grey, 1, cv2.LINE_AA)
        elif kind == "leaves":
            cv2.ellipse(seen, (x, y), (14, 7), float(state.uniform(0, 180)), 0, 360, grey, -1, cv2.LINE_AA)
    if kind == "waves":
        seen = np.clip(110 + 40 * np.sin(np.hypot(*np.mgrid[0:1000, 0:1200]) / 7), 0, 255).astype(np.uint8)
    grain = state.normal(0, 3, seen.shape)
    seen = np.clip(cv2.GaussianBlur(seen, (0, 0), 1) + grain, 0, 255).astype(np.uint8)
    layers = picture_layers(seen)
    assert (layers.black | layers.white).mean() < 0.05
    assert most_off(layers) < 1 / 3


def test_a_photograph_with_a_small_sign_in_it_stays_a_photograph() -> None:
    seen = cv2.resize(np.asarray(photograph("things").convert("L")), (1500, 1100), interpolation=cv2.INTER_AREA)
    seen[300:540, 400:1000] = cv2.GaussianBlur(written(240, 600), (0, 0), 0.8)
    assert np.array_equal(picture_layers(seen).reference, seen)


def test_a_caption_in_a_photograph_is_crisp() -> None:
    seen = cv2.resize(np.asarray(photograph("landscape").convert("L")), (1200, 1600), interpolation=cv2.INTER_AREA)
    letters = np.zeros_like(seen)
    cv2.putText(letters, "Harbour of Livorno", (80, 1480), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3, cv2.LINE_AA)
    layers = picture_layers(np.where(letters > 0, np.maximum(seen, letters), seen))
    rim = (cv2.dilate(letters, np.ones((5, 5), np.uint8)) > 0) & (letters == 0)
    assert layers.white[letters > 200].mean() > 0.7
    assert layers.black[rim].mean() > 0.5


def test_words_on_a_dark_screen_are_white_on_black() -> None:
    page = written(ink=210, ground=35)
    layers = picture_layers(page)
    assert likeness(layers.white, 255 - page) > 0.8
    near = cv2.dilate(page, np.ones((9, 9), np.uint8)) > 120
    assert (layers.black | layers.white)[near].mean() > 0.98
    assert np.array_equal(layers.reference, page)
    assert most_off(layers) < 1 / 3


def test_words_on_small_buttons_are_crisp_and_the_buttons_keep_their_tone() -> None:
    page = written(900, 1200)
    for top, left, grey in ((100, 100, 112), (100, 500, 150), (400, 300, 185)):
        cv2.rectangle(page, (left - 20, top - 20), (left + 230, top + 60), 255, -1)
        cv2.rectangle(page, (left, top), (left + 200, top + 40), grey, -1)
        cv2.putText(page, "delivery", (left + 40, top + 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    layers = picture_layers(page)
    for top, left, grey in ((100, 100, 112), (100, 500, 150), (400, 300, 185)):
        button = np.s_[top + 2 : top + 38, left + 2 : left + 198]
        letters = page[button] > (255 + grey) // 2 + 20
        assert layers.white[button][letters].mean() > 0.8
        assert abs(mean_ink(layers)[button].mean() - (1 - page[button].mean() / 255)) < 1 / 3


def test_flat_grey_areas_keep_their_tone_to_the_edge() -> None:
    chart = np.full((800, 1000), 255, np.uint8)
    for bar, grey in enumerate((60, 110, 150, 190, 220)):
        chart[700 - 120 * (bar + 1) : 700, 100 + 160 * bar : 200 + 160 * bar] = grey
    layers = picture_layers(chart)
    assert np.array_equal(layers.reference, chart)
    assert np.abs(cv2.blur(mean_ink(layers) - (1 - chart / 255), (12, 12))).max() < 1 / 3


def test_a_drawing_in_black_and_white_has_sharp_edges() -> None:
    logo = np.full((500, 500), 255, np.uint8)
    cv2.circle(logo, (250, 250), 180, 0, 60, cv2.LINE_AA)
    cv2.putText(logo, "A", (195, 305), cv2.FONT_HERSHEY_SIMPLEX, 4, 0, 12, cv2.LINE_AA)
    seen = cv2.GaussianBlur(logo, (0, 0), 1)
    layers = picture_layers(seen)
    assert likeness(mean_ink(layers) > 0.5, logo) > 0.97
    grey = (seen > 60) & (seen < 195)
    assert (layers.black | layers.white)[grey].mean() > 0.99


def test_thick_grey_letters_of_a_drawing_have_a_sharp_edge_and_their_tone() -> None:
    page = np.full((400, 800), 255, np.uint8)
    cv2.putText(page, "Music", (40, 280), cv2.FONT_HERSHEY_SIMPLEX, 7, 140, 40, cv2.LINE_AA)
    layers = picture_layers(page)
    inside = page < 160
    core = cv2.erode(inside.view(np.uint8), np.ones((9, 9), np.uint8)).view(bool)
    rim = inside & ~cv2.erode(inside.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    assert layers.black[rim].mean() > 0.9
    assert layers.black[core].mean() < 0.01
    assert layers.black[~cv2.dilate(inside.view(np.uint8), np.ones((9, 9), np.uint8)).view(bool)].mean() < 0.01


def test_a_pale_letter_of_a_drawing_is_tone_where_it_is_thin_as_where_it_is_thick() -> None:
    page = np.full((400, 800), 255, np.uint8)
    page[100:300, 100:116] = page[102:114, 116:300] = 180
    layers = picture_layers(page)
    assert layers.drawn
    assert layers.black[102, 120:290].all()
    assert layers.black[150:290, 100].all()
    assert not layers.black[105:111, 120:290].any()
    assert not layers.black[150:290, 103:113].any()


def test_the_fainter_an_edge_of_a_drawing_the_narrower_it_is_drawn() -> None:
    page = np.full((400, 800), 255, np.uint8)
    for index, grey in enumerate((220, 180, 140)):
        page[100:300, 100 + 200 * index : 200 + 200 * index] = grey
    widths = picture_layers(page).black[200].reshape(-1, 100).sum(axis=1)
    assert widths.tolist() == [0, 2, 0, 4, 0, 6, 0, 0]


def test_a_bar_on_a_screen_is_no_desk() -> None:
    page = written(900, 1200)
    page[:40] = 70
    assert mean_ink(picture_layers(page))[4:36].mean() > 0.6


def test_at_standard_resolution_the_same_is_seen() -> None:
    page = written()
    seen = through_lens(page)
    half = (WIDE, HIGH // 2)
    layers = picture_layers(cv2.resize(seen, half, interpolation=cv2.INTER_AREA), cell_rows=2)
    assert likeness(layers.black, cv2.resize(page, half, interpolation=cv2.INTER_AREA)) > 0.7
    assert layers.white.mean() > 0.8


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (1, 1), (2, 900), (900, 3), (31, 33), (125, 130), (400, 401)])
@pytest.mark.parametrize("cell_rows", [2, 4])
def test_any_size_will_do(shape: tuple[int, int], cell_rows: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    for plane in (np.zeros(shape, np.uint8), np.full(shape, 128, np.uint8), np.full(shape, 255, np.uint8), noise):
        layers = picture_layers(plane, cell_rows=cell_rows)
        assert layers.reference.shape == layers.black.shape == layers.white.shape == shape
        assert not (layers.black & layers.white).any()


def test_what_is_all_white_or_all_black_stays_so() -> None:
    for level in (0, 255):
        assert (mean_ink(picture_layers(np.full((900, 700), level, np.uint8))) == 1 - level / 255).all()
