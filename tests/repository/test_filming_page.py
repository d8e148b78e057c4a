"""What docs/filming.md shows is what works: its commands film, its station tables are read, its Python trains on the file."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import main, parser
from labctl.frame_store import read_frames
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.station import parse_station

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "filming.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_its_way_from_a_simulated_bench_to_frames_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [shell] = blocks("sh")
    simulate, *commands = [shlex.split(line, comments=True)[1:] for line in shell.splitlines()]
    found = parser().parse_args(simulate)
    with SimulatedBench.start(bundled_bench(simulate[1])) as sim:
        sim.write_station(found.station, bundled_station(simulate[1]))
        for words in commands:
            assert main(brief(words)) == 0, words
        assert "cell-uniform.h5" in capsys.readouterr().out
        names: dict[str, object] = {}
        for code in blocks("python"):
            exec(compile(code, "docs/filming.md", "exec"), names)
    assert names["frames"].values.shape == (4, 6, 64, 64, 2)  # type: ignore[attr-defined]
    assert read_frames("short.h5").complete
    assert not read_frames("data/cell-dark.h5").header.light


def brief(words: list[str]) -> list[str]:
    """The same command with fewer frames."""
    return [
        "6" if before == "--frames" and int(word) > 6 else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def test_its_station_tables_are_read() -> None:
    [shown] = blocks("toml")
    tables = tomllib.loads(shown)
    template = bundled_station("reaction_cell").replace("{pump}", "A").replace("{camera}", "B")
    kept = template[: template.index("[channels.layer]")]
    station = parse_station(f"{kept}\n{shown}")
    image = station.image_of(station.device("cell"))
    assert image is not None
    assert image.image is not None
    assert dict(image.image.planes) == tables["channels"]["layer"]["image"]["planes"]
    assert list(station.device("cell").starts) == ["blocks"]


def test_its_table_of_variables_is_what_the_file_holds(tmp_path: Path) -> None:
    import h5py

    from labctl.frame_layout import lay_out
    from labctl.frame_recording import FrameHeader

    header = FrameHeader(
        (1, 2, 3, 4),
        1.0,
        ("u",),
        4095,
        95.0,
        ("feed",),
        ("Hz",),
        np.zeros((1, 1)),
        "",
        np.zeros(1, np.int64),
        True,
        True,
    )
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE, flags=re.MULTILINE)
    assert len(rows) > 5
    with h5py.File(tmp_path / "a.h5", "w") as file:
        lay_out(file, header)
        for names, dimensions in rows:
            for name in re.findall(r"`(\w+)`", names):
                assert [file[name].dims[axis][0].name[1:] for axis in range(file[name].ndim)] == dimensions.split(
                    ", "
                ), name


def test_its_links_and_files_are_there() -> None:
    for target in [
        *re.findall(r"\]\(([^)#]+)\)", PAGE),
        *(f"../{one}" for one in re.findall(r"`([a-z_]+/[a-z0-9_/]+\.py)`", PAGE)),
    ]:
        assert (ROOT / "docs" / target).exists(), target
