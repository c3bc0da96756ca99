"""Routers decide, gate and learn as the specification says."""

import pytest
import torch

from isobath_train.config import Config, KvConfig, LoraConfig, ModelConfig, RecursionConfig, RouterConfig
from isobath_train.expert_choice import best, rows_at, selected_count, with_rows
from isobath_train.losses import agreement, losses
from isobath_train.model import Model
from isobath_train.token_choice import update_bias


def build(seed=0, kv="own", recursion="middle_cycle", lora=None, **router):
    torch.manual_seed(seed)
    model = ModelConfig(
        vocab_size=60, hidden_size=24, intermediate_size=40, num_hidden_layers=8 if "middle" in recursion else 6,
        num_attention_heads=3, num_key_value_heads=1, head_dim=8, initializer_range=0.3,
    )  # fmt: skip
    routing = RouterConfig(**{"alpha": 0.7, **router}) if lora is None else None
    shared = RecursionConfig(3, recursion)
    return Model(Config(model=model, recursion=shared, kv=KvConfig(kv), router=routing, lora=lora))


TOKENS = torch.randint(60, (3, 25), generator=torch.Generator().manual_seed(1))
VARIANTS = [
    {}, {"kv": "share"}, {"function": "tanh"}, {"function": "none", "recursion": "cycle"}, {"network": "mlp"},
    {"gating": "additive"}, {"temperature": 2.0},
    {"capacity": [0.8, 0.5, 0.2]}, {"capacity": [0.8, 0.5, 0.2], "kv": "share"},
    {"kind": "token", "function": "softmax"}, {"kind": "token", "function": "sigmoid", "kv": "share"},
    {"lora": LoraConfig(rank=3)}, {"auxiliary": True},
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_gradients(variant):
    """A step against the gradient changes the loss as the gradient says, along the whole routed path."""
    model = build(**variant)
    for adapters in model.adapters.values():
        for adapter in adapters.values():
            torch.nn.init.normal_(adapter.b, std=0.3)

    model.double()

    def total():
        output = model(TOKENS[:, :-1])
        parts = losses(model, output, TOKENS[:, 1:])
        # Auxiliary routers follow the hidden states without steering them, so their loss is no function to descend.
        return parts.total - parts.auxiliary

    total().backward()
    named = [(name, one) for name, one in model.named_parameters() if not name.startswith("auxiliary")]
    for name, one in named:
        assert one.grad is not None and torch.isfinite(one.grad).all() and one.grad.abs().max() > 0, name
    length = torch.stack([one.grad.norm() for _, one in named]).norm()
    step = 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for _, one in named:
                one += sign * step * one.grad / length
            values.append(total())
            for _, one in named:
                one -= sign * step * one.grad / length
    assert float(values[0] - values[1]) / (2 * step) == pytest.approx(float(length), rel=1e-4)


@pytest.mark.parametrize("kv", ["own", "share"])
@torch.no_grad()
def test_gathering_equals_masking(kv):
    """The rows that training gathers give what the masked computation of all rows gives."""
    model = build(kv=kv)
    gathered = model(TOKENS)
    chosen = [torch.zeros(3, 25, dtype=torch.bool) for _ in gathered.rounds]
    for mask, one in zip(chosen, gathered.rounds, strict=True):
        mask.scatter_(1, one.positions, one.selected)
    order = iter(chosen)

    class Chosen(torch.nn.Module):
        """An auxiliary router that repeats the selection."""

        def forward(self, x):
            return next(order).float().unsqueeze(-1) - 0.5

    model.auxiliary_routers = torch.nn.ModuleList(Chosen() for _ in chosen)
    model.config.router.gate_first = True
    masked = model(TOKENS, routing="threshold")
    assert (masked.hidden - gathered.hidden).abs().max() < 1e-5
    assert torch.equal(masked.depth, sum(mask.long() for mask in chosen))


@torch.no_grad()
def test_selection_is_hierarchical_and_counted():
    output = build()(TOKENS)
    assert [int(one.selected.sum(1)[0]) for one in output.rounds] == [25, 16, 8]
    for one, after in zip(output.rounds, output.rounds[1:], strict=False):
        assert torch.equal(one.positions[one.selected].view(3, -1), after.positions)
    for count in range(2, 9):
        for tokens in (1, 7, 24, 256, 2048):
            for recursion in range(count):
                wanted = max(1, (count - recursion) * tokens // count)
                assert selected_count((count - recursion) / count, tokens) == wanted


def test_ties_go_to_the_earlier_token():
    z = torch.tensor([[1.0, 2.0, 1.0, 1.0, 0.0]])
    assert best(z, 3).tolist() == [[0, 1, 2]]


def test_rows_there_and_back():
    x, index = torch.randn(2, 5, 3), torch.tensor([[0, 3], [1, 4]])
    rows = rows_at(x, index)
    assert torch.equal(rows[1, 1], x[1, 4])
    assert torch.equal(with_rows(x, index, rows), x)
    changed = with_rows(x, index, rows + 1)
    assert torch.equal(changed[0, 3], x[0, 3] + 1) and torch.equal(changed[0, 1], x[0, 1])


@pytest.mark.parametrize("variant", [{}, {"kv": "share"}, {"kind": "token", "function": "softmax"}], ids=str)
@torch.no_grad()
def test_later_tokens_do_not_reach_back(variant):
    model, other = build(**variant), TOKENS.clone()
    other[:, -1] = (other[:, -1] + 1) % 60
    before, after = (model(one, routing="threshold").hidden[:, :-1] for one in (TOKENS, other))
    assert torch.equal(before, after)
    if not variant:
        before, after = (model(one, routing="top_k").hidden[:, :-1] for one in (TOKENS, other))
        assert not torch.equal(before, after)


def test_auxiliary_router_learns_alone():
    """Its loss reaches no other weight, and no other loss reaches it."""
    model = build(auxiliary=True)
    output = model(TOKENS[:, :-1])
    parts = losses(model, output, TOKENS[:, 1:])
    parts.total.backward()
    ours = [one.grad.clone() for name, one in model.named_parameters() if name.startswith("auxiliary")]
    others = {name: one.grad.clone() for name, one in model.named_parameters() if not name.startswith("auxiliary")}
    assert all(one.abs().max() > 0 for one in ours)
    model.zero_grad()
    output = model(TOKENS[:, :-1])
    torch.nn.functional.cross_entropy(model.logits(output.hidden).flatten(0, 1), TOKENS[:, 1:].flatten()).backward()
    for name, one in model.named_parameters():
        if name.startswith("auxiliary"):
            assert one.grad is None
        else:
            assert torch.allclose(one.grad, others[name], atol=1e-6), name


def test_agreement_counts():
    model = build()
    output = model(TOKENS)
    for one in output.rounds:
        one.z = torch.where(one.selected, 1.0, -1.0)
    assert agreement(output) == (1.0, 1.0)
    output.rounds[1].z = -output.rounds[1].z
    rest, whole = agreement(output)
    assert rest == pytest.approx(16 / 41) and whole == pytest.approx(41 / 66)


def test_loss_free_bias_moves_towards_balance():
    bias = torch.zeros(3)
    update_bias(bias, torch.tensor([10, 4, 4]), 0.001)
    assert bias.tolist() == pytest.approx([-0.001, 0.001, 0.001])


@torch.no_grad()
def test_fixed_depth_runs_that_many_recursions():
    model = build()
    outputs = [model(TOKENS, routing="threshold", depth=depth) for depth in (0, 1, 2, 3)]
    assert [int(one.depth.min()) for one in outputs] == [int(one.depth.max()) for one in outputs] == [0, 1, 2, 3]
    whole = model(TOKENS, routing="top_k", capacities=[1.0, 1.0, 1.0])
    assert (whole.hidden - outputs[3].hidden).abs().max() < 1e-5


def test_head_and_loss_in_one():
    """The fused head loss and its gradients are those of the plain one, also where rows do not fill a part."""
    from isobath_train.head_loss import HeadLoss

    torch.manual_seed(2)
    hidden, head = torch.randn(300, 8).double().requires_grad_(), torch.randn(50, 8).double().requires_grad_()
    targets = torch.randint(50, (300,))
    plain = torch.nn.functional.cross_entropy(hidden @ head.t(), targets)
    wanted = torch.autograd.grad(plain * 3, (hidden, head))
    fused = HeadLoss.apply(hidden, head, targets)
    for one, other in zip(torch.autograd.grad(fused * 3, (hidden, head)), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    assert torch.allclose(plain, fused)
