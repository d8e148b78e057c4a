"""Drawing a network by hand: what the mouse and the keys do stands in the draft, in the tables, and can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.panels.networks.document import KEPT
from gui.panels.networks.graph_view import GraphView
from gui.panels.networks.network_page import NetworkPage
from gui.panels.networks.panel import NetworksPanel
from gui.theme import THEMES
from labctl.network_editing import add_layer, connections, nodes_of, set_twin, set_value, value_at
from labctl.network_file import load_network_file
from twins import load_twin, save_twin

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def page(panel: NetworksPanel, qtbot: QtBot) -> NetworkPage:
    """The first page with two layers on two devices; the second hears nothing yet."""
    made = panel.network_page
    made._looked = True  # no twins are looked for: nothing here needs one
    draft = panel.document.draft
    draft = add_layer(draft, "front", {"leaky": 3}, listens_to=("input",))
    draft = add_layer(draft, "back", {"duffing": 2})
    panel.document.show(set_twin(draft, "leaky", Path("/nowhere/leaky")))
    QApplication.processEvents()
    return made


def drag(view: GraphView, start: QPoint, end: QPoint) -> None:
    """With the left button, as a hand does."""
    viewport = view.viewport()
    QTest.mousePress(viewport, LEFT, pos=start)
    for part in (0.3, 0.7, 1.0):
        QTest.mouseMove(viewport, start + (end - start) * part)
        QApplication.processEvents()
    QTest.mouseRelease(viewport, LEFT, pos=end)
    QApplication.processEvents()


def heard(page: NetworkPage) -> set[tuple[str, str]]:
    return {(one.source, one.target) for one in connections(page._document.draft)}


def test_dragging_from_a_port_connects_and_undo_takes_it_back(qtbot: QtBot, page: NetworkPage) -> None:
    graph = page.graph
    assert heard(page) == {("input", "front")}
    drag(graph, graph.port_at("front"), graph.middle_of("back"))
    assert heard(page) == {("input", "front"), ("front", "back")}
    assert ("front", "back") in graph.edges
    assert [(row.source, row.target) for row in page.tables.connections.rows] == [("input", "front"), ("front", "back")]
    qtbot.mouseClick(page.file_row.undo, LEFT)
    assert heard(page) == {("input", "front")}
    assert ("front", "back") not in graph.edges
    qtbot.mouseClick(page.file_row.redo, LEFT)
    assert ("front", "back") in heard(page)


def test_a_connection_let_go_beside_every_box_is_none(page: NetworkPage) -> None:
    graph = page.graph
    before = page._document.draft
    drag(graph, graph.port_at("front"), QPoint(3, 3))
    assert page._document.draft == before
    drag(graph, graph.port_at("front"), graph.middle_of("output"))
    assert page._document.draft == before
    assert "hears every layer already" in page.state.text()


def test_a_connection_that_is_there_is_refused_in_words(page: NetworkPage) -> None:
    drag(page.graph, page.graph.port_at("input"), page.graph.middle_of("front"))
    assert "front hears input already" in page.state.text()


def test_boxes_are_dragged_and_stay_where_they_are_put(qtbot: QtBot, page: NetworkPage) -> None:
    graph = page.graph
    start = graph.middle_of("back")
    drag(graph, start, start + QPoint(30, 40))
    place = page._document.draft.positions["back"]
    assert graph.nodes["back"].pos() == QPointF(*place)
    assert graph.chosen().layer == "back"
    qtbot.mouseClick(page.file_row.undo, LEFT)
    assert "back" not in page._document.draft.positions


def test_del_removes_what_was_clicked(page: NetworkPage) -> None:
    graph = page.graph
    QTest.mouseClick(graph.viewport(), LEFT, pos=graph.middle_of("back"))
    QTest.keyClick(graph, Qt.Key.Key_Delete)
    assert page._document.draft.layers == ("front",)
    edge = graph.edges["input", "front"]
    QTest.mouseClick(graph.viewport(), LEFT, pos=graph.mapFromScene(edge.path().pointAtPercent(0.35)))
    assert graph.chosen().target == "front"
    QTest.keyClick(graph, Qt.Key.Key_Delete)
    assert heard(page) == set()
    assert "⚠" in page.state.text(), "a layer that hears nothing is told"


def test_double_click_edits_the_nodes_and_the_delays(qtbot: QtBot, page: NetworkPage) -> None:
    graph, form = page.graph, page.form
    QTest.mouseClick(graph.viewport(), LEFT, pos=graph.middle_of("front"))
    QTest.mouseDClick(graph.viewport(), LEFT, pos=graph.middle_of("front"))
    box = form.counts["leaky"]
    assert box.value() == 3
    box.selectAll()
    qtbot.keyClicks(box, "5")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert nodes_of(page._document.draft, "front") == {"leaky": 5}
    place = graph.mapFromScene(graph.edges["input", "front"].path().pointAtPercent(0.35))
    QTest.mouseClick(graph.viewport(), LEFT, pos=place)
    QTest.mouseDClick(graph.viewport(), LEFT, pos=place)
    qtbot.keyClicks(form.delays, "0, 2, 4")
    qtbot.keyClick(form.delays, Qt.Key.Key_Return)
    (one,) = (one for one in connections(page._document.draft) if one.target == "front")
    assert one.delays == (0, 2, 4)
    form.delays.clear()
    qtbot.keyClicks(form.delays, "0, two")
    qtbot.keyClick(form.delays, Qt.Key.Key_Return)
    assert "whole numbers" in page.state.text()


def test_the_tables_do_by_keyboard_what_the_mouse_does(qtbot: QtBot, page: NetworkPage) -> None:
    page.tables.source.setCurrentIndex(page.tables.source.findText("front"))
    page.tables.target.setCurrentIndex(page.tables.target.findText("back"))
    qtbot.keyClick(page.tables.connect_button, Qt.Key.Key_Space)
    assert ("front", "back") in heard(page)
    page.graph.clearFocus()
    page.tables.connections_view.setFocus()
    page.tables.connections_view.selectRow(1)
    assert (page.graph.chosen().source, page.graph.chosen().target) == ("front", "back")
    qtbot.keyClick(page.tables.connections_view, Qt.Key.Key_Delete)
    assert ("front", "back") not in heard(page)
    page.tables.layers_view.setFocus()
    page.tables.layers_view.selectRow(0)
    qtbot.keyClick(page.form.name, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(page.form.name, "begin")
    qtbot.keyClick(page.form.name, Qt.Key.Key_Return)
    assert page._document.draft.layers == ("begin", "back")


def test_the_wheel_zooms_and_a_layer_is_added_on_the_chosen_device(qtbot: QtBot, page: NetworkPage) -> None:
    before = page.graph.transform().m11()
    middle = QPointF(page.graph.viewport().rect().center())
    turn = QWheelEvent(middle, middle, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
                       Qt.ScrollPhase.NoScrollPhase, False)  # fmt: skip
    QApplication.sendEvent(page.graph.viewport(), turn)
    assert page.graph.transform().m11() > before
    page.devices.view.selectRow([row.device for row in page.devices.model.rows].index("duffing"))
    qtbot.mouseClick(page.add, LEFT)
    assert nodes_of(page._document.draft, "layer_3") == {"duffing": 6}
    assert page.graph.chosen().layer == "layer_3"


def test_a_saved_network_is_a_network_file_and_comes_back(qtbot: QtBot, page: NetworkPage, tmp_path: Path) -> None:
    drag(page.graph, page.graph.port_at("front"), page.graph.middle_of("back"))
    page.file_row.save_file(tmp_path / "mine.toml")
    assert "mine.toml" in page.file_row.label.text()
    assert load_network_file(tmp_path / "mine.toml").devices == ("leaky", "duffing")
    before = page._document.draft
    qtbot.mouseClick(page.file_row.new, LEFT)
    assert page._document.empty
    page.file_row.open_file(tmp_path / "mine.toml")
    qtbot.waitUntil(lambda: page._document.draft.tables == before.tables)


def test_an_unfinished_network_is_not_saved_and_says_why(page: NetworkPage, tmp_path: Path) -> None:
    page.file_row.save_file(tmp_path / "mine.toml")
    assert "not saved" in page.state.text()
    assert "listens_to" in page.state.toolTip()
    assert not (tmp_path / "mine.toml").exists()


def test_a_bad_network_file_is_told_with_its_line(qtbot: QtBot, page: NetworkPage, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('task = "narma10"\n[layers.a]\nnodes = { leaky = 0 }\n')
    with qtbot.waitSignal(page._desk.troubled) as told:
        page.file_row.open_file(tmp_path / "bad.toml")
    assert "bad.toml:3" in told.args[0].message


def test_every_button_and_field_has_a_name_and_a_tooltip(panel: NetworksPanel) -> None:
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSpinBox, QTableView

    for kind in (QAbstractButton, QComboBox, QLineEdit, QSpinBox, QTableView):
        for widget in panel.findChildren(kind):
            if widget.objectName().startswith("qt_") or isinstance(widget.parent(), QTableView | QSpinBox | QComboBox):
                continue
            if type(widget).__name__ in ("QTableCornerButton", "QToolButton"):
                continue
            assert widget.accessibleName() or getattr(widget, "text", str)(), widget
            assert widget.toolTip() or isinstance(widget, QTableView), (widget, widget.accessibleName())


def test_it_is_drawn_in_light_and_dark(panel: NetworksPanel, page: NetworkPage) -> None:
    for name in ("dark", "light"):
        panel.use_theme(THEMES[name])
        QApplication.processEvents()
        shade = panel.network_page.graph.grab().toImage().pixelColor(5, 5).lightness()
        assert (shade < 100) == (name == "dark")


def test_set_points_are_held_or_trained_as_typed(qtbot: QtBot, page: NetworkPage) -> None:
    page._document.edit("hold", lambda one: set_value(one, ("conditions", "leaky_bias"), 0.25))
    field = page.form.conditions["leaky_bias"]
    assert field.text() == "0.25"
    for typed, stored in (("-0.1 .. 0.1", {"low": -0.1, "high": 0.1}), ("0.5", 0.5)):
        field.clear()
        qtbot.keyClicks(field, typed)
        qtbot.keyClick(field, Qt.Key.Key_Return)
        assert value_at(page._document.draft, ("conditions", "leaky_bias")) == stored
    field.clear()
    qtbot.keyClicks(field, "warm")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert "neither a number nor low .. high" in page.state.text()
    assert value_at(page._document.draft, ("conditions", "leaky_bias")) == 0.5


def test_what_was_drawn_and_not_saved_is_there_again_at_the_next_start(
    qtbot: QtBot, panel: NetworksPanel, page: NetworkPage
) -> None:
    page._document.edit("more", lambda one: add_layer(one, "unfinished", {"leaky": 3}))
    again = NetworksPanel(panel.desk)
    qtbot.addWidget(again)
    assert again.document.draft.tables == panel.document.draft.tables
    assert "in no file yet" in again.network_page.file_row.label.text()
    panel.desk.settings.setValue(KEPT, '{"format": "labctl-network-draft-1", "tables": 3}')  # type: ignore[union-attr]
    begun = NetworksPanel(panel.desk)
    qtbot.addWidget(begun)
    assert begun.document.empty, "what cannot be read is begun anew"


def test_the_usual_network_is_there_at_once_and_the_next_step_is_told_and_pressed(
    qtbot: QtBot, panel: NetworksPanel, twins_folder: Path, tmp_path: Path
) -> None:
    page = panel.network_page
    assert not page.optimise.isEnabled()
    assert "no layer yet" in page.optimise.toolTip()
    panel.take_files([twins_folder / "leaky.json"])
    qtbot.waitUntil(lambda: page.optimise.isEnabled(), timeout=30_000)
    assert "The usual network for narma10: 12 nodes on leaky" in page.state.text()
    assert "the twin of leaky was never judged" in page.state.text()
    assert "applying it will ask for a reason" in page.state.text()
    passed = {
        "passed": True,
        "gates": [{"name": "coverage_90", "value": 0.9, "lower": 0.8, "upper": 1.0, "passed": True}],
    }
    save_twin(load_twin(twins_folder / "leaky"), tmp_path / "leaky", provenance={"simulated": True, "gates": passed})
    panel.take_files([tmp_path / "leaky.json"])
    qtbot.waitUntil(lambda: "Next step: Optimise" in page.state.text(), timeout=30_000)
    assert page.task_box.shown.currentWidget() is page.task_box.plot
    qtbot.mouseClick(page.optimise, LEFT)
    assert panel.pages.currentWidget() is panel.optimise_page
    assert panel.optimise_page.controls.start_button.isEnabled()
