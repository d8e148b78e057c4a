"""The page: self-contained, and safe whatever the texts hold."""

from pathlib import Path

from matplotlib.figure import Figure

from labctl.html_page import HtmlPage


def test_texts_are_escaped_and_figures_embedded(tmp_path: Path) -> None:
    page = HtmlPage("A <b> & B")
    page.banner("SIMULATED <i>")
    page.heading("Part")
    page.paragraph("note & more", note=True)
    page.table(("name", "value"), [("<script>", 1.5)])
    figure = Figure()
    figure.subplots().plot([0, 1])
    page.figure(figure, 'a "caption"')
    page.write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "SIMULATED &lt;i&gt;" in text
    assert 'src="data:image/png;base64,' in text
    assert "://" not in text
