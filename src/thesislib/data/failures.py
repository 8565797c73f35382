"""When an action goes wrong: the side file of data sets with unintentional moments.

``failures.csv`` lies beside ``manifest.csv`` and has the columns ``path`` (as in the manifest) and
``seconds`` (from the start of the video; empty where nobody knows). The Oops data set marks the
moment in this way (Epstein et al. 2020), and so does the studio's ``synthetic_oops``.
"""

from __future__ import annotations

from collections.abc import Mapping

from thesislib.data.manifest import Manifest
from thesislib.data.side_files import read_side_file, write_side_file
from thesislib.errors import ThesisError
from thesislib.files import csv_text, read_table

FAILURES_FILE = "failures.csv"


def write_failures(manifest: Manifest, frames: Mapping[str, int]) -> None:
    """Writes the failing frame of each video, as seconds, and the checksum into ``manifest.info``.

    Args:
        manifest: The data set; write it afterwards.
        frames: Path of a video to the number of the frame at which it goes wrong.
    """
    rows = []
    for video in manifest.videos:
        known = video.path in frames
        rows.append((video.path, f"{frames[video.path] / video.fps:.6g}" if known else ""))
    write_side_file(manifest, FAILURES_FILE, csv_text(("path", "seconds"), rows))


def read_failures(manifest: Manifest) -> dict[str, int]:
    """The failing frame of each video of ``manifest`` whose moment is known.

    Raises:
        ThesisError: No such file, an unreadable line, a moment outside of its video, or no moment
            known at all.
    """
    path = manifest.root / FAILURES_FILE
    if not path.is_file():
        raise ThesisError(
            f"{manifest.name!r} does not say when its actions fail: write {path} with the columns "
            "path,seconds, or take the data set of `thesislib prepare synthetic_oops`."
        )
    videos = {video.path: video for video in manifest.videos}
    found: dict[str, int] = {}
    remedy = "write it with the columns path,seconds."
    text = read_side_file(manifest, FAILURES_FILE)
    for line, row in read_table(path, ("path", "seconds"), remedy, text=text):
        video = videos.get(row["path"])
        if video is None or not row["seconds"]:  # of another split, or nobody knows
            continue
        where = f"{path}, line {line}"
        if video.fps <= 0:
            raise ThesisError(
                f"{where}: the manifest does not say the frames a second of {video.path}, so no "
                "time in it can be found: prepare the data set again from its videos."
            )
        try:
            frame = round(float(row["seconds"]) * video.fps)
        except (ValueError, OverflowError):
            frame = -1
        if not 0 <= frame < video.n_frames:
            raise ThesisError(
                f"{where}: {row['seconds']!r} is no time within {video.path} "
                f"({video.n_frames / video.fps:.2f} seconds)."
            )
        found[video.path] = frame
    if not found:
        raise ThesisError(f"{path} knows the moment of not one video of this selection.")
    return found
