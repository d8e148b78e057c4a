"""The C text of a kernel: a whole trajectory forward, and its exact discrete adjoint.

A tile of trajectories goes through all steps at once, one vector lane each, so that its state stays in registers and the
nearest cache. Backward, the states of the samples are known and those between are found again. All names here are numbers
given by us; nothing a user wrote becomes text.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from twins.goku.compiled.expressions import Node
from twins.goku.compiled.loops import Statement, loops, number
from twins.goku.compiled.plan import Plan, Scheme
from twins.goku.compiled.text import BACKWARD, BETWEEN, FORWARD, HEADER

LANES = {torch.float32: 16, torch.float64: 8}
"""Trajectories in a tile: a vector register of 64 bytes."""


def source(
    plan: Plan, scheme: Scheme, dtype: torch.dtype, *, interpolated: bool, ito: bool, adjoint: bool = True
) -> str:
    """The whole text. ito: Milstein's term is Itô's. adjoint: with the adjoint."""
    single, noisy = dtype == torch.float32, bool(plan.diffusion)
    sizes = {
        "S": plan.n_states, "C": len(plan.coefficients), "P": plan.n_parameters, "D": plan.n_drives,
        "W": LANES[dtype], "NOISY": int(noisy), "DRIVEN": int(plan.n_drives > 0), "BETWEEN": int(interpolated), "ITO": int(ito),
    }  # fmt: skip
    lines = [f"#define {name} {value}" for name, value in sizes.items()]
    lines += ["typedef float T;", "typedef int M;", "#define F(name) name##f"] if single else [
        "typedef double T;", "typedef long M;", "#define F(name) name"
    ]  # fmt: skip
    lines += [HEADER, vector_functions(single=single)]
    lines += [_function("prepare", "p", plan.coefficients, {"c": "="}), BETWEEN]
    lines += [*_rates(plan, scheme, adjoint=False), _step(scheme, noisy), FORWARD]
    if not adjoint:
        return "\n".join(lines)
    lines += [_coefficients_back(plan), *_rates(plan, scheme, adjoint=True), _step_back(scheme, noisy), BACKWARD]
    return "\n".join(lines)


def vector_functions(*, single: bool) -> str:
    """The C library's own vector functions, declared as such: elsewhere only -ffast-math declares them."""
    suffix = "f" if single else ""
    takes = {"pow": 2, "atan2": 2} | dict.fromkeys(("sin", "cos", "exp", "log", "tan", "tanh", "sinh", "cosh"), 1)
    takes |= dict.fromkeys(("asin", "acos", "atan", "expm1", "log1p", "erf"), 1)
    lines = [
        f'__attribute__((__simd__("notinbranch"))) T {name}{suffix}({", ".join(["T"] * count)});'
        for name, count in takes.items()
    ]
    return "\n".join(["#ifdef VECTOR_FUNCTIONS", *lines, "#endif"])


def _function(name: str, inputs: str, outputs: Sequence[Node], into: dict[str, str]) -> str:
    ((target, how),) = into.items()
    return _written(name, inputs, [(f"{target}[{i}][l]", how, node) for i, node in enumerate(outputs)], target)


def _written(name: str, inputs: str, statements: Sequence[Statement], targets: str) -> str:
    given = [f"const lanes *restrict {one}" for one in inputs]
    filled = [f"lanes *restrict {one}" for one in targets]
    return f"static void {name}({', '.join([*given, *filled])})\n{{\n{loops(statements)}\n}}"


def _coefficients_back(plan: Plan) -> str:
    return _function("prepare_back", "pa", plan.coefficients_back(), {"q": "="})


def _kinds(scheme: Scheme, noisy: bool) -> list[tuple[bool, bool]]:
    """What each stage needs besides f: (g, Milstein's term)."""
    return [(noisy and scheme.needs_diffusion(i), noisy and scheme.milstein) for i in range(len(scheme.drift))]


def _name(kind: tuple[bool, bool]) -> str:
    return "f" + "g" * kind[0] + "m" * kind[1]


def _rates(plan: Plan, scheme: Scheme, *, adjoint: bool) -> list[str]:
    """Functions r_… (x, c, u -> rates) and r_…_back (x, c, u, a -> adjoints y of x; added to those d of c, w of u)."""
    lines = []
    for diffusion, milstein in sorted(set(_kinds(scheme, bool(plan.diffusion)))):
        name = f"r_{_name((diffusion, milstein))}"
        rates = plan.rates(diffusion=diffusion, milstein=milstein)
        if not adjoint:
            lines.append(_function(name, "xcu", rates, {"r": "="}))
            continue
        of_x, of_c, of_u = plan.rates_back(diffusion=diffusion, milstein=milstein)
        statements = [(f"y[{i}][l]", "=", node) for i, node in enumerate(of_x)]
        statements += [(f"d[{i}][l]", "+=", node) for i, node in enumerate(of_c)]
        statements += [(f"w[{i}][l]", "+=", node) for i, node in enumerate(of_u)]
        lines.append(_written(f"{name}_back", "xcua", statements, "ydw"))
    return lines


_STEP_ARGUMENTS = (
    "const lanes *restrict x, const lanes *restrict c, const lanes *restrict u0, const lanes *restrict u1, T since, T each, "
    "const T *restrict h, const lanes *restrict k"
)


def _stages(scheme: Scheme, noisy: bool, *, last: bool) -> list[str]:
    """Statements that leave the rates of stage i in r<i>, its state in s<i> (the first is x), its drive in q<i>."""
    lines, kinds = [], _kinds(scheme, noisy)
    for i, ahead in enumerate(scheme.ahead):
        state = "x"
        if i:
            state = f"s{i}"
            kick = f" + {number(scheme.kicked[i])} * k[s][l] * r{i - 1}[S + s][l]" if noisy and scheme.kicked[i] else ""
            lines.append(f"lanes s{i}[S];")
            lines.append(f"EACH s{i}[s][l] = x[s][l] + {number(ahead)} * h[l] * r{i - 1}[s][l]{kick};")
        lines.append("#if BETWEEN")
        lines.append(f"lanes q{i}[AT_LEAST_1(D)]; between(u0, u1, since + {number(ahead)} * each, q{i});")
        lines.append("#else")
        lines.append(f"const lanes *q{i} = u0;")
        lines.append("#endif")
        if last or i + 1 < len(scheme.ahead) or kinds[i][0]:
            lines.append(f"lanes r{i}[{1 + sum(kinds[i])} * S]; r_{_name(kinds[i])}({state}, c, q{i}, r{i});")
    return lines


def _step(scheme: Scheme, noisy: bool) -> str:
    total = " + ".join(f"{number(weight)} * r{i}[s][l]" for i, weight in enumerate(scheme.drift) if weight)
    lines = [*_stages(scheme, noisy, last=True), f"EACH y[s][l] = x[s][l] + h[l] * ({total});"]
    if noisy:
        spread = " + ".join(f"{number(weight)} * r{i}[S + s][l]" for i, weight in enumerate(scheme.noise) if weight)
        lines.append(f"EACH y[s][l] += k[s][l] * ({spread});")
    if noisy and scheme.milstein:
        lines.append("EACH y[s][l] += (T)0.5 * r0[2 * S + s][l] * (k[s][l] * k[s][l] - ITO * h[l]);")
    body = "\n    ".join(lines)
    return f"static void step({_STEP_ARGUMENTS}, lanes *restrict y)\n{{\n    {body}\n}}"


def _step_back(scheme: Scheme, noisy: bool) -> str:
    """y: adjoint of the step's end, becomes that of its beginning; d, w0, w1, kb: those of c, u0, u1, k are added to."""
    lines, kinds = _stages(scheme, noisy, last=False), _kinds(scheme, noisy)
    count = len(kinds)
    for i in reversed(range(count)):
        diffusion, milstein = kinds[i]
        following = i + 1 < count
        ahead = f" + {number(scheme.ahead[i + 1])} * b{i + 1}[s][l]" if following else ""
        lines.append(f"lanes a{i}[{1 + diffusion + milstein} * S], b{i}[S];")
        lines.append(f"EACH a{i}[s][l] = h[l] * ({number(scheme.drift[i])} * y[s][l]{ahead});")
        if diffusion:
            kicked = f" + {number(scheme.kicked[i + 1])} * b{i + 1}[s][l]" if following and scheme.kicked[i + 1] else ""
            weight = f"({number(scheme.noise[i])} * y[s][l]{kicked})"
            lines.append(f"EACH {{ a{i}[S + s][l] = k[s][l] * {weight}; kb[s][l] += r{i}[S + s][l] * {weight}; }}")
        if milstein:
            lines.append(f"EACH a{i}[2 * S + s][l] = (T)0.5 * (k[s][l] * k[s][l] - ITO * h[l]) * y[s][l];")
            lines.append(f"EACH kb[s][l] += r{i}[2 * S + s][l] * k[s][l] * y[s][l];")
        state = f"s{i}" if i else "x"
        lines.append("#if BETWEEN")
        lines.append(f"lanes w_{i}[AT_LEAST_1(D)] = {{{{0}}}};")
        lines.append(f"r_{_name(kinds[i])}_back({state}, c, q{i}, a{i}, b{i}, d, w_{i});")
        lines.append(f"between_back(w_{i}, since + {number(scheme.ahead[i])} * each, w0, w1);")
        lines.append("#else")
        lines.append(f"r_{_name(kinds[i])}_back({state}, c, q{i}, a{i}, b{i}, d, w0);")
        lines.append("#endif")
    lines.append("EACH y[s][l] += " + " + ".join(f"b{i}[s][l]" for i in range(count)) + ";")
    body = "\n    ".join(lines)
    arguments = f"{_STEP_ARGUMENTS}, lanes *restrict y, lanes *restrict d, lanes *restrict w0, lanes *restrict w1"
    return f"static void step_back({arguments}, lanes *restrict kb)\n{{\n    {body}\n}}"
