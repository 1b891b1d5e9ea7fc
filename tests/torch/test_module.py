"""FuseModule as an nn.Module: values, what calls may give, what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from fuse_torch import (
    AxisError,
    ConfigError,
    DtypeError,
    ExecutionConfig,
    Facts,
    FuseModule,
    FuseWarning,
    InputError,
    NonFiniteError,
    Program,
    RouteError,
    UnboundTensorError,
)
from tests.torch.programs import DENSE, by_hand


def dense() -> tuple[FuseModule, torch.Tensor]:
    return FuseModule(DENSE), torch.randn(5, 4)


# Values and binding ----------------------------------------------------------------------------


def test_values_and_gradients_are_those_of_the_same_code_by_hand() -> None:
    module, _ = dense()
    for batch in (5, 1, 0, 7):
        x = torch.randn(batch, 4, requires_grad=True)
        y = module(x)
        assert_close(y, by_hand(module, x))
        mine = torch.autograd.grad(y.square().sum(), [x, module.W, module.B])
        theirs = torch.autograd.grad(by_hand(module, x).square().sum(), [x, module.W, module.B])
        assert_close(mine, theirs)


def test_inputs_by_position_by_keyword_and_as_a_mapping() -> None:
    module = FuseModule("input X'[b, d]\ninput lambda[b]\nY[b] = X'[b, d] lambda[b] Free[d]")
    x, scale, free = torch.randn(3, 4), torch.randn(3), torch.randn(4)
    expected = x @ free * scale
    assert_close(module(x, scale, Free=free), expected)
    assert_close(module(x, **{"lambda": scale}, Free=free), expected)
    assert_close(module(**{"X'": x, "lambda": scale, "Free": free}), expected)
    assert_close(module({"lambda": scale, "Free": free, "X'": x}), expected)


def test_inputs_may_have_names_that_python_or_torch_mean_something_by() -> None:
    module = FuseModule(
        "input self[b]\ninput torch[b]\ninput slice[b]\ninput args[b]\nY[b] = self[b] torch[b] slice[b+0] args[b]"
    )
    values = {name: torch.randn(3) for name in ("self", "torch", "slice", "args")}
    assert_close(module(values), torch.stack(tuple(values.values())).prod(0))
    assert_close(module(*values.values()), torch.stack(tuple(values.values())).prod(0))


def test_one_export_is_a_tensor_and_several_are_a_dict_in_text_order() -> None:
    x = torch.randn(3, 4)
    module = FuseModule("input X[b, d]\nZ[d] = X[b, d]\nY[b] = X[b, d]\nexport Z, Y")
    result = module(x)
    assert list(result) == ["Z", "Y"]
    assert_close(result, {"Z": x.sum(0), "Y": x.sum(1)})


def test_results_share_no_memory_with_inputs_parameters_or_each_other() -> None:
    module = FuseModule(
        "axis d = 3\ninput X[b, d]\nparam W[d]\nA[b, d] = X[b, d]\nB[d, b] = X[b, d]\nC[d] = W[d]\n"
        "E[e, d] = W[d]\naxis e = 2\nF[b] = X[b, 0]\nG[b, d] = exp(X[b, d])\nH[d, b] = G[b, d]\nexport A, B, C, E, F, G, H"
    )
    x = torch.randn(2, 3)
    before, weight = x.clone(), module.W.detach().clone()
    first = module(x)
    expected = {name: value.detach().clone() for name, value in first.items()}
    with torch.no_grad():
        for name, value in first.items():
            value.fill_(7.0)
            del expected[name]
            assert_close({k: first[k].detach() for k in expected}, expected)
    assert torch.equal(x, before)
    assert torch.equal(module.W, weight)


@pytest.mark.parametrize(
    ("arguments", "named", "error", "words"),
    [
        ((torch.ones(5, 3),), {}, AxisError, "axis d is 3 in X"),
        ((torch.ones(5, 1),), {}, AxisError, "axis d is 1 in X"),
        ((torch.ones(4),), {}, AxisError, "X has 2 axes"),
        ((torch.ones(5, 4, dtype=torch.float64),), {}, DtypeError, "X must be float32 here, but float64 was given"),
        ((torch.ones(5, 4, dtype=torch.int64),), {}, DtypeError, "X must be float32 here, but int64 was given"),
        (([[1.0] * 4],), {}, DtypeError, "X must be a torch tensor, but list was given"),
        ((np.ones((5, 4), np.float32),), {}, DtypeError, "but ndarray was given"),
        ((), {}, InputError, "input X is declared, but the call does not give it"),
        ((), {"x": torch.ones(5, 4)}, InputError, "did you mean 'X'"),
        ((torch.ones(5, 4),) * 2, {}, InputError, "takes 1 (X) positional inputs, but 2 were given"),
        ((torch.ones(5, 4),), {"W": torch.ones(3, 4)}, InputError, "W cannot be given: it is a parameter"),
        ((torch.ones(5, 4),), {"Y": torch.ones(3, 4)}, InputError, "Y cannot be given: the program defines it"),
    ],
)
def test_calls_that_do_not_fit(arguments: tuple, named: dict, error: type, words: str) -> None:
    module, x = dense()
    with pytest.raises(error, match=r"FUSE\d\d\d") as caught:
        module(*arguments, **named)
    assert words in str(caught.value)
    assert_close(module(x), by_hand(module, x))


def test_a_free_tensor_that_is_missing_is_unbound() -> None:
    module = FuseModule("Y[i] = W[i, j] X[j]")
    with pytest.raises(UnboundTensorError, match="W is used"):
        module(X=torch.ones(2))


def test_an_input_that_the_program_does_not_use_is_ignored_with_a_warning() -> None:
    module, x = dense()
    with pytest.warns(FuseWarning, match="input Q is not used") as caught:
        y = module(x, Q=x)
    assert caught[0].filename == __file__
    assert_close(y, by_hand(module, x))


def test_two_inputs_that_share_an_axis_must_agree_and_size_one_is_not_repeated() -> None:
    module = FuseModule("input X[b, d]\ninput Z[b, d]\nY[b] = X[b, d] Z[b, d]")
    assert_close(module(torch.ones(2, 3), torch.ones(2, 3)), torch.full((2,), 3.0))
    for shape in ((1, 3), (2, 1), (4, 3)):
        with pytest.raises(AxisError, match="in Z"):
            module(torch.ones(2, 3), torch.ones(shape))


def test_a_window_that_never_fits() -> None:
    module = FuseModule("input X[i]\ninput F[d]\nY[x] = X[x+d] F[d]")
    assert module(torch.ones(5), torch.ones(2)).tolist() == [2.0] * 4
    assert module(torch.ones(0), torch.ones(2)).shape == (0,)
    with pytest.raises(AxisError, match="fits at no position"):
        module(torch.ones(2), torch.ones(3))


def test_a_parameter_that_was_replaced_by_one_of_another_shape() -> None:
    module, x = dense()
    module.W = nn.Parameter(torch.ones(1, 4))
    with pytest.raises(AxisError, match=r"W is \(1, 4\) in the module, but \(3, 4\) in the program"):
        module(x)


def test_narrow_integers_are_widened_and_floats_refused() -> None:
    module = FuseModule("input T[i]: int64\nY[i] = 2 T[i]")
    for dtype in (torch.int64, torch.int32, torch.uint8):
        result = module(torch.tensor([1, 2], dtype=dtype))
        assert result.dtype == torch.int64
        assert result.tolist() == [2, 4]
    with pytest.raises(DtypeError, match="T must be int64 here, but float32 was given"):
        module(torch.ones(2))


def test_boolean_inputs_in_every_form() -> None:
    module = FuseModule("axis x = {Ann, Bob, Cy}\ninput E(x, y)\nN[x] = E(x, y)")
    table = torch.tensor([[True, False], [False, False], [True, True]])
    positions = [(0, 0), (2, 0), (2, 1), (0, 0)]
    expected = torch.tensor([1.0, 0.0, 2.0])
    for given in (
        table,
        torch.tensor(positions),
        positions,
        [("Ann", 0), ("Cy", 0), ("Cy", 1)],
        Facts(torch.tensor(positions)),
        Facts(positions, axes=(3, 2)),
        table.to_sparse(),
    ):
        assert_close(module(given), expected)
    with pytest.raises(AxisError, match="did you mean 'Bob'"):
        module([("Bobb", 0)])
    with pytest.raises(DtypeError, match="truth values or positions"):
        module(torch.rand(3, 2))


def test_facts_check_what_they_hold() -> None:
    assert len(Facts([(0, 1), (1, 1)])) == 2
    assert len(Facts([])) == 0
    with pytest.raises(DtypeError, match="whole numbers, but float32"):
        Facts([[0.5, 1.0]])
    with pytest.raises(AxisError, match="3 axes were given for tuples of 2"):
        Facts([[0, 1]], axes=(1, 2, 3))


# What a module says of itself, and settings ----------------------------------------------------


def test_routes_say_what_a_module_does_not_run(tmp_path) -> None:
    np.save(tmp_path / "w.npy", np.ones(3))
    text = 'W[i] = "w.npy"\nY[i] = W[i] X[i]\nZ[i] = 2 Y[i]\n"out.npy" = Z[i]\nZ[0]?\nexport Y'
    module = FuseModule(Program(text, path=tmp_path / "p.fuse"))
    by_kind = {route.kind: route for route in module.routes()}
    assert by_kind["Load"].route == "load"
    assert by_kind["Store"].reason == "sinks do not run inside modules"
    assert by_kind["Answer"].reason == "queries do not run inside modules"
    assert by_kind["Dense"].route == "dense"
    assert str(by_kind["Dense"]).startswith("Dense of ")
    assert module(X=torch.ones(3)).tolist() == [1.0] * 3
    assert not (tmp_path / "out.npy").exists()


def test_a_step_that_cannot_run_is_refused_at_construction_unless_nothing_needs_it() -> None:
    text = "H(i, t+1) <- Q(i, t), not H(i, t)\nY[i] = X[i]\n"
    with pytest.raises(RouteError, match="H"):
        FuseModule(text + "export H")
    module = FuseModule(text + "export Y")
    x = torch.randn(2)
    assert_close(module(X=x), x)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="state must be 'buffer' or 'carry'"):
        FuseModule(DENSE, state="none")  # type: ignore[arg-type]
    with pytest.raises(RouteError, match="time_limit"):
        FuseModule(DENSE, config=ExecutionConfig(time_limit=1))


def test_carried_state_of_a_program_without_streams_is_empty() -> None:
    module = FuseModule(DENSE, state="carry")
    x = torch.randn(5, 4)
    result, state = module(x, state=module.initial_state())
    assert state == {}
    assert_close(result, by_hand(module, x))
    module.reset_state()


def test_checked_modules_stop_at_the_first_value_that_is_not_finite() -> None:
    module = FuseModule("input X[i]\nZ[i] = log(X[i])\nY[i] = exp(Z[i])", config=ExecutionConfig(checked=True))
    assert_close(module(torch.ones(2)), torch.ones(2))
    with pytest.raises(NonFiniteError, match=r"Z holds -inf at \[1\]") as caught:
        module(torch.tensor([1.0, 0.0]))
    assert caught.value.span is not None
    assert caught.value.span.line == 2
    assert FuseModule("input X[i]\nZ[i] = log(X[i])")(torch.zeros(1)).isinf().all()


def test_checked_modules_look_at_class_numbers() -> None:
    text = "input Z[b, c]\ninput T[b]: int64\nL[b] = cross_entropy(Z[b, c], T[b], axis=c)"
    module = FuseModule(text, config=ExecutionConfig(checked=True))
    z = torch.randn(2, 3)
    assert_close(
        module(z, torch.tensor([0, 2])), nn.functional.cross_entropy(z, torch.tensor([0, 2]), reduction="none")
    )
    with pytest.raises(AxisError, match="a class of T is 3, but axis c has the positions 0 to 2"):
        module(z, torch.tensor([0, 3]))


def test_autocast_reaches_the_products() -> None:
    module, x = dense()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(x).dtype == torch.bfloat16
