"""Makes the weights: a random model, and what exits need beside it, fitted where chance would never let a token leave.

Layers are scaled so that states at some depth often, but not always, have the final state's best token. Sums of whole
matrices differ by a rounding between machines, so a fit made anew need not have the same bits: vectors go by the file.
"""

import numpy as np

from .model import Model, Shape, softmax
from .specee import Draft, features

SEED, SHARPNESS, INNER, PREDICTOR = 11, 6.0, 96, 32
TEXTS, LENGTH = 120, 48


def layer_tensors(random, shape: Shape, block: str, scale: float) -> dict[str, np.ndarray]:
    """One decoder layer, without the norm at its input; `scale` is for what it adds to the rows."""
    queries, keys, hidden = shape.heads * shape.head_dim, shape.key_heads * shape.head_dim, shape.hidden
    shapes = {
        "self_attn.q_proj": (queries, hidden, 1.5), "self_attn.k_proj": (keys, hidden, 1.5),
        "self_attn.v_proj": (keys, hidden, 1.0), "self_attn.o_proj": (hidden, queries, 2.0 * scale),
        "mlp.gate_proj": (INNER, hidden, 1.5), "mlp.up_proj": (INNER, hidden, 1.5),
        "mlp.down_proj": (hidden, INNER, scale),
    }  # fmt: skip
    found = {
        f"{block}.{name}.weight": random.standard_normal((rows, columns)) * factor / np.sqrt(columns)
        for name, (rows, columns, factor) in shapes.items()
    }
    return {**found, f"{block}.post_attention_layernorm.weight": random.uniform(0.7, 1.3, hidden)}


def backbone(random, shape: Shape) -> dict[str, np.ndarray]:
    tensors = {
        "model.embed_tokens.weight": random.standard_normal((shape.vocabulary, shape.hidden)),
        "lm_head.weight": random.standard_normal((shape.vocabulary, shape.hidden)) * SHARPNESS / np.sqrt(shape.hidden),
        "model.norm.weight": random.uniform(0.7, 1.3, shape.hidden),
    }
    for layer in range(shape.layers):
        block = f"model.layers.{layer}"
        tensors |= layer_tensors(random, shape, block, 0.45 - 0.2 * layer / (shape.layers - 1))
        tensors[f"{block}.input_layernorm.weight"] = random.uniform(0.7, 1.3, shape.hidden)
    return tensors


def heads(random, tensors: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Exit heads: the model's own, disturbed."""
    found = {}
    for index in range(count):
        own = tensors["lm_head.weight"]
        found[f"heads.{index}.norm.weight"] = tensors["model.norm.weight"] * random.uniform(0.9, 1.1, own.shape[1])
        found[f"heads.{index}.linear.weight"] = own + 0.15 * own.std() * random.standard_normal(own.shape)
    return found


def texts(random, model: Model) -> list[tuple[list[int], np.ndarray]]:
    """What the plain model writes after a few random tokens; of each text its states after each layer."""
    found = []
    for _ in range(TEXTS):
        tokens, cache, rows = random.integers(0, model.shape.vocabulary, 4).tolist(), model.cache(), []
        while len(rows) < LENGTH:
            states = [model.embed(tokens[len(rows) :])]
            positions = np.arange(len(rows), len(tokens))
            for layer in range(model.shape.layers):
                states.append(model.layer(layer, states[-1], positions, cache))
            rows += list(np.stack(states, 1))
            tokens.append(int(model.logits(states[-1][-1]).argmax()))
        found.append((tokens, np.stack(rows)))
    return found


def draft_head(random, model: Model, found: list) -> dict[str, np.ndarray]:
    """The linear guesses the next final state by least squares, enlarged so that candidates stand apart; its layer adds
    a little."""
    pairs = [np.concatenate([model.embed(tokens[1:-1]), model.norm(rows[:-1, -1])], 1) for tokens, rows in found]
    inputs = np.concatenate(pairs)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], 1)
    targets = np.concatenate([model.norm(rows[1:, -1]) for _, rows in found])
    fit = np.linalg.solve(inputs.T @ inputs + 10.0 * np.eye(inputs.shape[1]), inputs.T @ targets).T
    tensors = layer_tensors(random, model.shape, "draft.layers.0", 0.15)
    return {**tensors, "draft.fc.weight": 3 * fit[:, :-1], "draft.fc.bias": 3 * fit[:, -1]}


def logistic(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Newton's steps for a regression with a small pull to zero."""
    fit = np.zeros(inputs.shape[1])
    for _ in range(12):
        share = 1 / (1 + np.exp(-np.clip(inputs @ fit, -30, 30)))
        slope = inputs.T @ (share - labels) + fit
        curve = (inputs * (share * (1 - share))[:, None]).T @ inputs + np.eye(len(fit))
        fit = fit - np.linalg.solve(curve, slope)
    return fit


def predictors(random, model: Model, found: list) -> dict[str, np.ndarray]:
    """The first layer is random, the second fitted to whether a layer's best token is the final one.

    Scores are then stretched, so that few stand near a half, and raised, so that more layers are verified than pay.
    """
    samples: list[list] = [[] for _ in range(model.shape.layers - 1)]
    for tokens, rows in found:
        guessed = Draft(model).feed(tokens[1:], model.norm(rows[:, -1])) @ model.head.T
        for place in range(1, len(rows)):
            candidates, share = np.argsort(-guessed[place - 1])[:4], None
            for layer, bucket in enumerate(samples):
                logits = model.logits(rows[place, layer + 1])
                one, share = features(logits[candidates], share)
                bucket.append((one, logits.argmax() == tokens[place + 1]))
    tensors = {}
    sizes = np.array([0.1] * 4 + [1.5] * 8)
    for layer, bucket in enumerate(samples):
        first, bias = random.standard_normal((PREDICTOR, 12)) * sizes, random.standard_normal(PREDICTOR) * 0.5
        inner = np.maximum(np.stack([one for one, _ in bucket]) @ first.T + bias, 0)
        inner = np.concatenate([inner, np.ones((len(inner), 1))], 1)
        second = logistic(inner, np.array([label for _, label in bucket], float))
        second = 4 * second + np.append(np.zeros(PREDICTOR), 2.5)
        tensors |= {f"predictors.{layer}.fc1.weight": first, f"predictors.{layer}.fc1.bias": bias}
        tensors |= {f"predictors.{layer}.fc2.weight": second[None, :-1], f"predictors.{layer}.fc2.bias": second[-1:]}
    return tensors


def make(shape: Shape, exits: list[int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(SEED)
    tensors = backbone(random, shape)
    tensors |= heads(random, tensors, len(exits))
    meta = random.standard_normal((1, shape.hidden))
    tensors |= {"calm.meta.weight": meta / np.sqrt(shape.hidden), "calm.meta.bias": np.array([-0.5])}
    single = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    model = Model(shape, single)
    found = texts(random, model)
    single |= {name: tensor.astype(np.float32) for name, tensor in draft_head(random, model, found).items()}
    model = Model(shape, single)
    return single | {name: tensor.astype(np.float32) for name, tensor in predictors(random, model, found).items()}


def agreement(model: Model) -> str:
    """How often a depth's best token is the final one, and how sure it is there."""
    rows = np.concatenate([rows for _, rows in texts(np.random.default_rng(1), model)[:20]])
    final = model.logits(rows[:, -1]).argmax(-1)
    lines = []
    for depth in range(model.shape.layers + 1):
        logits = model.logits(rows[:, depth])
        sure = np.sort(softmax(logits), -1)
        lines.append(
            f"{depth}: agrees {(logits.argmax(-1) == final).mean():.2f}, gap {(sure[:, -1] - sure[:, -2]).mean():.2f}"
        )
    return "\n".join(lines)
