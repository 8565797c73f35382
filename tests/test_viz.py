"""Figures: what they show, how large they are, and that every figure can stand alone."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import av
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from thesislib import viz
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, size=(*shape, 3), dtype=np.uint8)


def retrieval() -> viz.Picture:
    labels = [["wave", "clap"], ["clap", "clap"]]
    return viz.retrieval_grid(
        noise(2, 3, 32, 32),
        ["wave", "clap"],
        {"DPC": noise(2, 2, 3, 32, 32), "random weights": noise(2, 2, 3, 32, 32)},
        {"DPC": labels, "random weights": [["pick_up", "clap"], ["wave", "clap"]]},
    )


def kinds() -> np.ndarray:
    """The codes of the loss for two videos, two steps and two places, by the definition."""
    table = np.zeros((8, 8), np.int8)
    index = [(b, p, s) for b in range(2) for p in range(2) for s in range(2)]
    for i, (b, p, s) in enumerate(index):
        for j, (c, q, r) in enumerate(index):
            if b == c:
                table[i, j] = 1 if (p, s) == (q, r) else -1 if s == r else -3
    return table


ROWS = [{"epoch": e, "top1": 0.1 * e, "val_top1": 0.08 * e} for e in range(1, 6)]
CHECKPOINTS = [{"epoch": e, "pretext_top1": 0.1 * e, "finetune_top1": 0.2 * e} for e in (1, 2, 4)]

FIGURES = {
    "contact_sheet": lambda: viz.contact_sheet([noise(6, 64, 64)] * 9, [f"c{i}" for i in range(9)]),
    "retrieval": retrieval,
    "curves": lambda: viz.curves(ROWS, ["top1", "val_top1"], {"chance": 0.05}),
    "points": lambda: viz.pretext_vs_downstream({0: CHECKPOINTS, 1: CHECKPOINTS}),
    "scores": lambda: viz.score_matrix(RNG.normal(size=(8, 8)), kinds()),
    "blocks": lambda: viz.block_diagram(8, 3),
    "lines": lambda: viz.lines({"a": [(1, 4.0), (2, 6.0)]}, "frames", "memory (GiB)"),
    "intervals": lambda: viz.lines_with_interval({"a": [(10, 40.0, 4.0, 3)]}, "labels (%)"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_a_small_wide_png_with_words(name: str) -> None:
    picture = FIGURES[name]()
    data = picture.png()
    image = Image.open(io.BytesIO(data))
    assert len(data) <= viz.style.MAX_BYTES
    assert image.format == "PNG"
    # Noise is the worst case for the size; drawings keep their full 6 inches at 120 dots.
    if name not in ("contact_sheet", "retrieval"):
        assert image.width == 720
    assert len(picture.alt) > 20
    assert np.asarray(image.convert("L")).std() > 3  # something is drawn
    # White behind every letter: a page in the dark must not show through.
    seen = np.asarray(image.convert("RGBA"))
    assert seen[0, 0].tolist() == [255, 255, 255, 255] and (seen[..., 3] == 255).all()


def test_the_same_figure_is_the_same_bytes() -> None:
    assert viz.block_diagram().png() == viz.block_diagram().png()


def test_a_notebook_gets_the_small_picture_and_the_words() -> None:
    picture = viz.block_diagram(8, 4)
    bundle = picture._repr_mimebundle_()
    assert bundle["image/png"] == picture.png()
    assert "4pred4" in bundle["text/plain"]


def test_figures_stay_out_of_pyplot() -> None:
    # A figure that pyplot knows is shown twice in a notebook and never freed.
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    retrieval()
    assert plt.get_fignums() == before


def test_a_noisy_picture_is_brought_below_the_limit(tmp_path: Path) -> None:
    picture = viz.contact_sheet([noise(4, 128, 128)] * 8, ["x"] * 8)
    path = picture.save(tmp_path / "deep" / "sheet.png", limit=60_000)
    assert path.stat().st_size <= 60_000
    with Image.open(path) as image:
        assert image.width >= 0.4 * 720


@pytest.mark.parametrize(
    # How a colour looks with full deuteranopia and protanopia: Machado et al., 2009.
    "seen",
    [
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    ],
)
def test_colours_are_told_apart_by_the_colour_blind(seen: list[list[float]]) -> None:
    rgb = {c: np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in viz.style.CYCLE}
    for a, b in itertools.combinations(rgb, 2):
        assert np.linalg.norm(np.array(seen) @ (rgb[a] - rgb[b])) > 45, (a, b)


def test_a_picture_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = viz.curves(ROWS, ["top1"], {})
    whole = picture.save(tmp_path / "a" / "x.png").read_bytes()

    def fills_up(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:9])
        raise OSError(28, "No space left on device")  # which names no file

    monkeypatch.setattr(Path, "write_bytes", fills_up)
    with pytest.raises(ThesisError, match=r"x.png cannot be written \(No space left .*free some"):
        picture.save(tmp_path / "a" / "x.png")
    assert [p.read_bytes() for p in (tmp_path / "a").iterdir()] == [whole]


def test_a_row_of_frames_keeps_every_pixel() -> None:
    frames = noise(3, 4, 5)
    row = viz.video._row(frames, gap=2)
    assert row.shape == (4, 3 * 5 + 2 * 2, 3)
    for i in range(3):
        assert np.array_equal(row[:, i * 7 : i * 7 + 5], frames[i])
    assert (row[:, 5:7] == 255).all()


def test_neighbours_are_strips_of_frames_in_a_line_for_each_encoder() -> None:
    queries, near = noise(2, 3, 32, 32), noise(2, 2, 3, 32, 32)
    labels = [["wave", "clap"]] * 2
    picture = viz.retrieval_grid(
        queries, ["wave", "clap"], {"a": near, "b": near}, {"a": labels, "b": labels}
    )
    shown = [ax.images[0].get_array() for ax in picture.axes]
    assert len(shown) == 2 * (1 + 2 * 2)
    assert np.array_equal(shown[0], viz.video._row(queries[0]))
    assert np.array_equal(shown[2], viz.video._row(near[0, 1]))
    # An encoder's neighbours stand side by side; the next encoder's stand below.
    boxes = [ax.get_position() for ax in picture.axes]
    assert boxes[1].y0 == boxes[2].y0 > boxes[3].y0 == boxes[4].y0 > boxes[5].y0
    assert boxes[0].x1 < boxes[1].x0 == boxes[3].x0 and boxes[1].x1 < boxes[2].x0
    assert "3 frames of each" in picture.alt
    bare = viz.retrieval_grid(queries, ["", ""], {"a": near}, {"a": [["", ""]] * 2})
    assert not [t for ax in bare.axes for t in ax.texts] and "same class" not in bare.alt


def test_right_and_wrong_neighbours_differ_in_more_than_colour() -> None:
    picture = retrieval()
    texts = [t.get_text() for ax in picture.axes for t in ax.texts]
    assert texts.count("✓") == 4 and texts.count("✗") == 4
    dashes = {
        ax.texts[0].get_text(): ax.spines["left"].get_linestyle() for ax in picture.axes if ax.texts
    }
    assert dashes["✓"] == "-" and dashes["✗"] != "-"
    assert "DPC 3 of 4" in picture.alt and "random weights 1 of 4" in picture.alt
    titles = [ax.get_title(loc="left") for ax in picture.axes if ax.get_title(loc="left")]
    assert titles == ["query", "nearest videos, best first"]
    names = [ax.get_ylabel() for ax in picture.axes if ax.get_ylabel()]
    assert names == ["DPC", "random\nweights"] * 2


def test_curves_in_per_cent_with_chance() -> None:
    picture = viz.curves(ROWS, {"top1": "training"}, {"chance": 1 / 3})
    lines = {line.get_label(): line for line in picture.axes[0].get_lines()}
    assert lines["training"].get_ydata() == pytest.approx([10, 20, 30, 40, 50])
    assert lines["chance"].get_ydata() == pytest.approx([100 / 3] * 2)
    assert lines["chance"].get_linestyle() == "--"
    assert "from 10.0 to 50.0" in picture.alt
    loss = viz.curves([{"epoch": 1, "loss": 2.5}, {"epoch": 2}], ["loss"], ylabel="loss")
    assert loss.axes[0].get_lines()[0].get_ydata() == pytest.approx([2.5])


def test_a_level_of_chance_has_the_colour_of_its_curve() -> None:
    levels = {"chance, all": 0.05, "chance, times": 0.3}
    picture = viz.curves(ROWS, {"top1": "all", "val_top1": "times"}, levels)
    lines = {line.get_label(): line for line in picture.axes[0].get_lines()}
    for curve, level in (("all", "chance, all"), ("times", "chance, times")):
        assert lines[curve].get_color() == lines[level].get_color()
        assert lines[curve].get_linestyle() == "-" != lines[level].get_linestyle()
    assert lines["all"].get_color() != lines["times"].get_color()
    (legend,) = picture.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["all", "chance, all", "times", "chance, times"]
    # One level for two curves is nobody's.
    shared = viz.curves(ROWS, ["top1", "val_top1"], {"chance": 0.05}).axes[0].get_lines()
    assert shared[2].get_color() not in {shared[0].get_color(), shared[1].get_color()}


def test_intervals_stand_beside_one_another_with_their_seeds() -> None:
    points = [(10, 40.0, 4.0, 3), (100, 60.0, None, 6)]
    picture = viz.lines_with_interval({"a": points, "none": [], "b": points}, "labels (%)")
    (ax,) = picture.axes
    a, b = (c for c in ax.containers)
    (first, second) = (c.lines[0].get_xdata() for c in (a, b))
    assert (first < second).all() and first + second == pytest.approx([20, 200])
    bars = a.lines[2][0].get_segments()
    assert bars[0][:, 1] == pytest.approx([36, 44]) and bars[1][:, 1] == pytest.approx([60, 60])
    assert list(ax.get_xticks()) == [10, 100]
    said = [text.get_text() for text in picture.legends[0].get_texts()]
    assert said == ["a (n = 3 to 6)", "b (n = 3 to 6)"]
    alone = viz.lines_with_interval({"a": [(10, 40.0, 4.0, 3)]}, "labels (%)")
    assert "n = 3)" in alone.legends[0].get_texts()[0].get_text()


def test_checkpoints_are_drawn_in_the_order_of_epochs() -> None:
    picture = viz.pretext_vs_downstream({0: CHECKPOINTS[::-1], 1: []})
    line = picture.axes[0].get_lines()[0]
    assert line.get_xdata() == pytest.approx([10, 20, 40])
    assert line.get_ydata() == pytest.approx([20, 40, 80])
    assert len(picture.axes[0].get_lines()) == 1


def test_the_score_matrix_counts_the_kinds() -> None:
    picture = viz.score_matrix(np.zeros((8, 8)), kinds())
    assert "1 positive, 1 temporal, 2 spatial, 4 easy" in picture.alt


def test_the_score_matrix_frames_the_positives_and_says_their_mean() -> None:
    scores = np.full((8, 8), -1.0)
    np.fill_diagonal(scores, 3.0)
    picture = viz.score_matrix(scores, kinds())
    left = picture.axes[0]
    corners = sorted((p.get_x() + 0.5, p.get_y() + 0.5) for p in left.patches)
    assert corners == [(i, i) for i in range(8)]
    assert left.images[0].get_clim() == (0, 3)  # what is below zero is as dark as zero
    assert "mean 3.0, others −1.0" in left.get_title() and "mean 3.0" in picture.alt
    # In print the kinds are told apart by how dark they are.
    tones = [Image.new("RGB", (1, 1), c).convert("L").getpixel((0, 0)) for _, c in
             viz.diagrams._KINDS.values()]  # fmt: skip
    assert min(b - a for a, b in itertools.pairwise(tones)) > 40


def test_the_block_diagram_names_the_task() -> None:
    picture = viz.block_diagram(8, 3)
    texts = [t.get_text() for t in picture.axes[0].texts]
    assert "seen: 5 blocks" in texts and "predicted: 3" in texts and "4 s" in texts
    assert "0.5 s each" in picture.alt and "5pred3" in picture.alt


def write_video(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def test_contact_sheet_of_a_data_set_names_the_file_it_cannot_read(tmp_path: Path) -> None:
    grey = np.full((12, 64, 64, 3), 90, np.uint8)
    videos = []
    for label in ("wave", "sit_down"):
        write_video(tmp_path / label / "a.mp4", grey)
        videos.append(Video(f"{label}/a.mp4", label, "train", "g", 12, 30.0, 64, 64))
    (tmp_path / "wave" / "broken.mp4").write_bytes(b"not a video")
    videos.append(Video("wave/broken.mp4", "wave", "train", "g", 12, 30.0, 64, 64))
    manifest = Manifest("tiny", tmp_path, tuple(videos))
    path = viz.write_contact_sheet(manifest, tmp_path / "sheet.png", per_class=2)
    with Image.open(path) as file:
        image = np.asarray(file.convert("RGB"))
    assert image.shape[1] == 720
    # The grey of both films is there: 2 rows of 6 frames.
    assert (np.abs(image.astype(int) - 90).max(-1) < 6).sum() > 20_000


def test_names_with_dollars_are_no_formulas() -> None:
    names = ["$5_$10", "$x^{2}$y", "half $5"]
    picture = viz.contact_sheet([noise(2, 16, 16)] * 3, names)
    drawn = {text.get_text(): text for text in picture.findobj(mpl.text.Text)}
    assert not any(drawn[name].get_parse_math() for name in names)
    picture.png()


class Eight:
    """A reader of eight small frames."""

    def __len__(self) -> int:
        return 8

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        return noise(len(numbers), 16, 16)


def test_a_large_sheet_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Video(f"{i}.mp4", f"c{i // 3}", "train", "g", 8, 8.0, 16, 16) for i in range(300)]
    seen: list[str] = []

    def sheet(videos: object, titles: list[str], *_: object) -> viz.Picture:
        seen.extend(titles)
        return draw([noise(2, 16, 16)], ["x"])

    draw = viz.video.contact_sheet
    monkeypatch.setattr(viz.video, "contact_sheet", sheet)
    monkeypatch.setattr(viz.video, "open_video", lambda path: Eight())
    viz.write_contact_sheet(Manifest("big", tmp_path, tuple(rows)), tmp_path / "s.png", per_class=3)
    assert len(seen) == viz.video.MOST and len(set(seen)) >= 90, "from nearly all classes"
    assert f"shows {viz.video.MOST} of 300" in capsys.readouterr().err


def test_contact_sheet_without_classes_shows_twelve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "film.mp4", np.full((8, 32, 32, 3), 90, np.uint8))
    rows = [Video("film.mp4", "", "train", f"g{i}", 8, 30.0, 32, 32) for i in range(15)]
    seen = []
    draw = viz.video.contact_sheet
    monkeypatch.setattr(
        viz.video, "contact_sheet", lambda videos, *a, **k: seen.append(videos) or draw(videos, *a)
    )
    viz.write_contact_sheet(Manifest("plain", tmp_path, tuple(rows)), tmp_path / "s.png")
    assert len(seen[0]) == 12
    assert seen[0][0].shape == (6, 32, 32, 3)


def test_motion_is_amplified_about_what_stands_still() -> None:
    flow = np.full((2, 4, 4, 3), 127, np.uint8)
    flow[0, 0, 0] = 137, 117, 127
    flow[1, 1, 1] = 250, 127, 127
    more = viz.amplified(flow, 3)
    assert more[0, 0, 0].tolist() == [157, 97, 127] and more[1, 1, 1].tolist() == [255, 127, 127]
    more[0, 0, 0] = more[1, 1, 1] = 127
    assert (more == 127).all() and np.array_equal(viz.amplified(flow, 1), flow)


def test_flow_colours_show_direction_and_speed() -> None:
    # Still, right, down, left and up by 10 pixels, right by 5.
    x = np.array([128, 191, 128, 64, 128, 159], np.uint8)
    y = np.array([127, 128, 191, 128, 64, 128], np.uint8)
    flow = np.stack([x, y], -1)[None, None]
    (got,) = viz.flow_colours(flow, full=10.0)[0]
    assert got[0].tolist() == [255, 255, 255]
    assert got[1].tolist() == pytest.approx([255, 1, 1], abs=3)
    assert got[2].tolist() == pytest.approx([128, 255, 1], abs=3)
    assert got[3].tolist() == pytest.approx([0, 255, 255], abs=3)
    assert got[4].tolist() == pytest.approx([128, 0, 255], abs=3)
    assert got[5].tolist() == pytest.approx([255, 128, 128], abs=3)
