import json
import tomllib
from pathlib import Path

import pytest
import torch

from twins.errors import EquationInvalid
from twins.goku.bound import BoundSystem
from twins.goku.compiled.fingerprint import fingerprint
from twins.goku.held import HeldSystem
from twins.goku.systems import system_named
from twins.goku.trajectories import solve_system
from twins.goku.written.equation_file import equation_from, load_equation
from twins.goku.written.expression import DEEPEST, FUNCTIONS, LONGEST_TEXT, MOST_PARTS, read_expression

EXAMPLE = Path(__file__).parents[3] / "examples" / "pendulum.toml"


def evaluated(text, **values):
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    return float(read_expression(text, values, "here").evaluate(tensors))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 3 * x", 3.5),
        ("-x ** 2", -0.25),
        ("x ** 3 + 2 ** x", 0.125 + 2**0.5),
        ("x ** y", 0.5**-1.5),
        ("(x - y) / 4", 0.5),
        ("1 / 3 * x", 1 / 6),
        ("sin(pi * x) + sqrt(x / 2)", 1.5),
        ("min(x, 0.2) + max(x, y) + max(1, x)", 0.2 + 0.5 + 1),
        ("abs(y) + sigmoid(0 * x) + exp(log(x))", 1.5 + 0.5 + 0.5),
        ("1e-3 * x\n + 1_000", 1000.0005),
    ],
)
def test_formulas_mean_what_they_say(text, expected):
    assert evaluated(text, x=0.5, y=-1.5) == pytest.approx(expected, abs=1e-12)


def test_every_function_has_a_gradient():
    for name, (n_arguments, function) in FUNCTIONS.items():
        arguments = [
            torch.tensor(0.3 + 0.2 * place, dtype=torch.float64, requires_grad=True) for place in range(n_arguments)
        ]
        called = read_expression(f"{name}({', '.join('ab'[:n_arguments])})", "ab", "here")
        value = called.evaluate(dict(zip("ab", arguments, strict=False)))
        assert float(value.detach()) == float(function(*arguments).detach())
        assert torch.autograd.gradcheck(function, arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('true')", "only numbers, names"),
        ("__import__('os')", "no function '__import__'"),
        ("x.__class__", "only numbers, names"),
        ("x[0]", "only numbers, names"),
        ("open('f')", "no function 'open'"),
        ("(lambda: 1)()", "only numbers, names"),
        ("[a for a in (1,)]", "only numbers, names"),
        ("f'{x}'", "only numbers, names"),
        ("(y := 3)", "only numbers, names"),
        ("x if x else 1", "only numbers, names"),
        ("x < 1", "only numbers, names"),
        ("x and 1", "only numbers, names"),
        ("x @ x", "only numbers, names"),
        ("x // 2", "only numbers, names"),
        ("not x", "only numbers, names"),
        ("~x", "only numbers, names"),
        ("sin(*x)", "only numbers, names"),
        ("sin(x, out=x)", "only numbers, names"),
        ("sin", "there is no 'sin' here; there are x"),
        ("x ^ 2", r"a power is written \*\*"),
        ("True", "True is not a number"),
        ("'text'", "'text' is not a number"),
        ("3j", "3j is not a number"),
        ("...", "Ellipsis is not a number"),
        ("1e999", "too large"),
        ("9" * 400, "too large"),
        ("9 ** 9 ** 9 ** 9", "whatever the values are"),
        ("x / (1 - 1) + 1 / 0", "whatever the values are"),
        ("log(-1)", "whatever the values are"),
        ("min(x)", "min takes 2 arguments, not 1"),
        ("3(x)", "only numbers, names"),
        ("x +", "not a formula"),
        ("", "not a formula"),
        ("x; x", "not a formula"),
        ("x = 1", "not a formula"),
        ("x\0", "not a formula"),
        ("(" * 500 + "x" + ")" * 500, "not a formula"),
        ("-" * (DEEPEST + 1) + "x", "too long or too deep"),
        ("-" * (LONGEST_TEXT - 1) + "x", "too long or too deep|not a formula"),
        ("+".join("x" * (MOST_PARTS + 1)), "too long or too deep|name parts in"),
        ("x" * (LONGEST_TEXT + 1), r"name parts in \[let\]"),
        ("t + x", "what depends on it is a drive"),
    ],
)
def test_nothing_but_arithmetic_is_read(text, words):
    with pytest.raises(EquationInvalid, match=words):
        read_expression(text, ["x"], "drift of x")


def test_an_error_quotes_the_formula_and_points_at_the_place():
    with pytest.raises(EquationInvalid) as caught:
        read_expression("-g / ω * sin(anlge)", ["g", "ω", "angle"], "drift of rate")
    first, shown, mark = str(caught.value).split("\n")
    assert first == "drift of rate: there is no 'anlge' here; there are angle, g, ω"
    assert shown[mark.index("^") :] == "anlge)"


def test_the_example_is_the_damped_pendulum_with_noise_and_a_zero():
    text, known = load_equation(EXAMPLE), system_named("damped_pendulum")
    generator = torch.Generator().manual_seed(0)
    initial, parameters = text.draw_states(4, generator), text.draw_parameters(4, generator)
    ours = solve_system(text, initial, parameters, step_s=0.02, n_steps=100)
    torch.testing.assert_close(ours, solve_system(known, initial, parameters[:, :2], step_s=0.02, n_steps=100))
    torch.testing.assert_close(text.outputs_of(ours, parameters)[..., 0], ours[..., 0] + parameters[:, 2])
    assert (text.name, text.noise, text.parameter_names) == (
        "pendulum with friction", "additive", ("length", "damping", "zero", "agitation"),
    )  # fmt: skip
    _, diffusion = BoundSystem(text, parameters).coefficients_at(initial, None)
    torch.testing.assert_close(diffusion, torch.stack((torch.zeros(4).double(), parameters[:, 3]), dim=-1))


def test_the_same_text_has_the_same_fingerprint_and_another_one_another():
    """So that it is compiled once, and again where it was changed."""
    one, same = load_equation(EXAMPLE), load_equation(EXAMPLE)
    assert fingerprint(one) == fingerprint(same)
    content = one.as_mapping()
    for other in (
        {**content, "constants": {"g": 1.62}},
        {**content, "let": {"stiffness": "2 * g / length"}},
        {**content, "time_unit_s": 2.0},
    ):
        assert fingerprint(equation_from(other)) != fingerprint(one)
    held = HeldSystem(one, {"damping": 0.1})
    assert fingerprint(held) == fingerprint(HeldSystem(same, {"damping": 0.1}))
    assert fingerprint(held) != fingerprint(HeldSystem(one, {"damping": 0.2}))


def test_every_backend_solves_it_alike():
    system = load_equation(EXAMPLE)
    generator = torch.Generator().manual_seed(0)
    initial, parameters = system.draw_states(4, generator), system.draw_parameters(4, generator)
    for one in (system, HeldSystem(system, {"length": 1.0})):
        p = parameters if one is system else parameters[:, 1:]
        paths = [
            solve_system(
                one, initial, p, step_s=0.05, n_steps=20, noisy=True, backend=backend,
                generator=torch.Generator().manual_seed(1),
            )
            for backend in ("auto", "loop")
        ]  # fmt: skip
        torch.testing.assert_close(*paths)


CONTENT = {
    "name": "noisy growth",
    "time_unit_s": 1e-3,
    "states": {"x": {"unit": "V", "range": [0.5, 1.0]}, "y": {"range": [-1.0, 1.0]}},
    "parameters": {"a": {"unit": "1/ms", "range": [0.1, 10.0], "scale": "log"}, "b": {"range": [0, 2]}},
    "drives": {"u": {"unit": "V"}},
    "constants": {"k": 2},
    "let": {"both": "a * b", "power": "x ** 2 + both", "more": "power + u"},
    "drift": {"x": "-both * x + more", "y": "k - y"},
    "diffusion": {"x": "b * x"},
    "observe": {"seen": "power", "shown": {"formula": "y / k", "unit": "mV", "range": [-1, 1]}},
}


def changed(**replaced):
    return {key: value for key, value in {**CONTENT, **replaced}.items() if value is not None}


def test_parts_drives_outputs_and_multiplicative_noise():
    system = equation_from(CONTENT)
    x, y, a, b, u = 0.6, -0.4, 3.0, 0.5, 0.2
    parameters, states = (torch.tensor([values], dtype=torch.float64) for values in ((a, b), (x, y)))
    drift, diffusion = BoundSystem(system, parameters).coefficients_at(states, torch.tensor([[u]], dtype=torch.float64))
    power = x**2 + a * b
    assert drift[0].tolist() == pytest.approx([-a * b * x + power + u, 2 - y])
    assert diffusion[0].tolist() == pytest.approx([b * x, 0.0])
    assert system.outputs_of(states, parameters)[0].tolist() == pytest.approx([power, y / 2])
    assert (system.noise, system.sde_type, system.time_unit_s) == ("diagonal", "ito", 1e-3)
    assert [one.unit for one in (*system.parameters, *system.drives, *system.outputs)] == ["1/ms", "", "V", "", "mV"]


def test_it_is_made_again_from_plain_data_with_its_ranges():
    system = equation_from(CONTENT).with_ranges({"a": (1.0, 2.0), "y": (-3.0, 3.0)})
    again = equation_from(json.loads(json.dumps(system.as_mapping(), allow_nan=False)))
    assert (again.states, again.parameters, again.drives, again.outputs) == (
        system.states, system.parameters, system.drives, system.outputs,
    )  # fmt: skip
    assert again.as_mapping() == system.as_mapping() == system.options()["equation"]
    assert (again.parameters[0].low, again.parameters[0].scale) == (1.0, "log")
    example = load_equation(EXAMPLE)
    assert equation_from(example.as_mapping()).as_mapping() == example.as_mapping()


def test_noise_channels_that_states_share():
    system = equation_from(changed(diffusion={"x": ["a", "0"], "y": ["x", "b"]}, sde_type="stratonovich"))
    parameters, states = (torch.tensor([values], dtype=torch.float64) for values in ((3.0, 0.5), (0.6, -0.4)))
    drive = torch.zeros((1, 1), dtype=torch.float64)
    _, diffusion = BoundSystem(system, parameters).coefficients_at(states, drive)
    assert (system.noise, system.sde_type) == ("general", "stratonovich")
    assert diffusion.tolist() == [[[3.0, 0.0], [0.6, 0.5]]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(states=None), r"needs \[states\]"),
        (changed(drift={}), r"needs \[drift\]"),
        (changed(drift={"x": "1"}), "one formula for each of x, y; it has x"),
        (changed(drift={"x": "1", "y": 2}), "drift of y: a formula must be text"),
        (changed(drifts={}), "an equation has no 'drifts'"),
        (changed(states=[1]), r"\[states\] must be a table"),
        (changed(parameters={"a": {"unit": "V"}, "b": {"range": [0, 1]}}), r"\[parameters.a\] needs range"),
        (changed(parameters={"a": {"range": [1]}}), r"range must be \[low, high\]"),
        (changed(parameters={"a": {"range": [1, 0]}, "b": {"range": [0, 1]}}), "is empty"),
        (changed(parameters={"a": {"range": ["0", 1]}}), "expected a finite number"),
        (changed(parameters={"a": {"range": [0, float("inf")]}}), "expected a finite number"),
        (changed(parameters={"a": {"rnage": [0, 1]}}), "has no 'rnage'"),
        (changed(parameters={"a": {"range": [0, 1], "scale": "log"}, "b": {"range": [0, 1]}}), "log scale needs"),
        (changed(parameters={"a": 3}), "must be a table with unit"),
        (changed(parameters={"sin": {"range": [0, 1]}}), "nothing can be called 'sin'"),
        (changed(parameters={"lambda": {"range": [0, 1]}}), "nothing can be called 'lambda'"),
        (changed(parameters={"a b": {"range": [0, 1]}}), "identifier"),
        (changed(constants={"a": 1}), "'a' is given twice"),
        (changed(constants={"k": "1"}), "constants: k: expected a finite number"),
        (changed(let={"power": "x + later", "later": "1"}), "let: power: there is no 'later'"),
        (changed(observe={"seen": "more"}), "depends on the drive 'u'"),
        (changed(observe={"seen": "u"}), "there is no 'u' here"),
        (changed(observe={"seen": {"unit": "V"}}), "needs a formula"),
        (changed(diffusion={"z": "1"}), "'z', which is no state"),
        (changed(diffusion={"x": ["1"], "y": "1"}), "for every state a list"),
        (changed(diffusion={"x": ["1"], "y": ["1", "2"]}), "all equally long"),
        (changed(noise="additive"), "are 'diagonal'; leave noise away"),
        (changed(sde_type="strato"), "sde_type ito or stratonovich"),
        (changed(time_unit_s=0), "time_unit_s must be positive"),
        (changed(time_unit_s=True), "time_unit_s: expected a finite number"),
        (changed(name=3), "name: expected a short text"),
        (changed(drift={"x": "log(-x)", "y": "1"}), "drift is not finite"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(content, words):
    with pytest.raises(EquationInvalid, match=words):
        equation_from(content)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.toml"
    for content, words in (
        (b"[states", "is no TOML"), (b"\xff", "is no TOML"), (b"#" * 70_000, "larger than any equation"),
        (EXAMPLE.read_bytes().replace(b"sin(angle)", b"sin(anlge)"), "there is no 'anlge'"),
    ):  # fmt: skip
        broken.write_bytes(content)
        with pytest.raises(EquationInvalid, match=words) as caught:
            load_equation(broken)
        assert str(broken) in str(caught.value)
    with pytest.raises(EquationInvalid, match="cannot be read"):
        load_equation(tmp_path / "gone.toml")


def test_the_comment_at_the_head_of_the_module_is_an_equation():
    import twins.goku.written.equation_file as module

    text = "\n".join(line[4:] for line in module.__doc__.split("\n") if line.startswith("    "))
    assert equation_from(tomllib.loads(text)).parameter_names == ("length",)
