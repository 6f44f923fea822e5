"""The robust objective written out in float64, loop by loop, from the paper's description and our reconstruction of it.

A reference for tests: it shares no line with the product and knows no tensors.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Choices:
    """The switches of the method, by the words of its description; the defaults are the paper's, as far as is known."""

    temperature: float = 0.05
    sigma: float = 0.05
    negative_weight: float = 5.0
    omega: float | str = 0.5
    same_type: str = "own"
    symmetry: str = "geometric"
    duplicates: str = "ignore"
    warmup: int = 0
    stable_after: int = 3
    combine: str = "product"
    curriculum: bool = True
    scale: str = "none"
    guard: str = "none"
    weigh: str = "negatives"
    form: str = "exponential"


@dataclass
class ReferenceLoss:
    """What each pair contributes."""

    agreed: np.ndarray
    trust: np.ndarray
    weight: np.ndarray
    cell_to_text: float = 0.0
    text_to_cell: float = 0.0
    complementary: float = 0.0
    total: float = 0.0


def log_softmax(row):
    """Of the finite entries; the others have no probability."""
    finite = [value for value in row if value != -math.inf]
    highest = max(finite)
    whole = highest + math.log(math.fsum(math.exp(value - highest) for value in finite))
    return [value - whole for value in row]


def joined(one, other, how):
    if how == "geometric":
        return math.sqrt(one * other)
    if how == "mean":
        return (one + other) / 2
    if how == "harmonic":
        return 2 * one * other / (one + other) if one + other > 0 else 0.0
    return min(one, other)


def symmetry(cells, texts, kinds, choices):
    """E9: how surely cell and text choose each other in the batch; types of -1 are like no other.

    Where duplicates are corrected for, the cells of a type have one text, and a cell chooses among the distinct ones.
    """
    size, found = len(cells), []
    for i in range(size):
        rivals = list(range(size))
        like = [j for j in rivals if j == i or (kinds[j] == kinds[i] and kinds[i] >= 0)]
        to_cells = np.exp(log_softmax([float(texts[i] @ cells[j]) / choices.sigma for j in rivals]))
        z = to_cells[i]
        if choices.duplicates == "correct":
            repeated = [j for j in rivals if kinds[j] >= 0 and kinds[j] in kinds[:j]]
            rivals = [i, *(j for j in rivals if j not in like and j not in repeated)]
            z = min(1.0, len(like) * z)
        to_texts = np.exp(log_softmax([float(cells[i] @ texts[j]) / choices.sigma for j in rivals]))
        found.append(joined(to_texts[rivals.index(i)], z, choices.symmetry))
    return np.array(found)


def trusted(agreed, stable, epoch, choices):
    """E11."""
    if epoch <= choices.warmup:
        return 1.0
    if epoch <= choices.stable_after:
        return agreed
    return {"product": agreed * stable, "minimum": min(agreed, stable), "mean": (agreed + stable) / 2}[choices.combine]


def gamma(progress, keys, choices):
    """E15."""
    found = 2.0 + (10.0 - 2.0) * math.sqrt(progress)
    return found * math.log(max(keys, 2)) / math.log(448 + 4096) if choices.scale == "keys" else found


def curriculum(difficulty, trust, progress, keys, choices):
    """E16 to E19."""
    if not choices.curriculum:
        return np.ones(len(difficulty))
    limit, weights = gamma(progress, keys, choices), []
    for i, hard in enumerate(difficulty):
        if progress < 0.2:
            above = 0.0 if choices.form == "cut" else math.exp(min(limit - hard, 0.0))
            weights.append(1.0 if hard <= limit else above)
        else:
            weight = min(1 + max(hard - 1, 0.0) / limit, 2.0)
            if choices.guard == "trust":
                weight *= trust[i] / max(*trust, 1e-6)
            weights.append(weight)
    mean = max(math.fsum(weights) / len(weights), 1e-6)
    return np.array([weight / mean for weight in weights])


def role(kinds, key_kinds, i, k, choices):
    """Whether key k is a match of pair i (``yes``), contradicts it (``no``), or neither (None), as one not believed."""
    if k == i:
        return "yes"
    if key_kinds[k] < 0:
        return None
    if choices.same_type == "own" or kinds[i] < 0 or kinds[i] != key_kinds[k]:
        return "no"
    return "yes" if choices.same_type == "shared" else None


def one_direction(queries, keys, roles, choices):
    """E8 of each query, how little it expects its matches, and the stretched probabilities of its negatives and of all."""
    surprise, negatives, everything = [], [], []
    for i in range(len(queries)):
        logits = []
        for k in range(len(keys)):
            similarity = math.fsum(float(a) * float(b) for a, b in zip(queries[i], keys[k], strict=True))
            logits.append(similarity / choices.temperature if roles[i][k] is not None else -math.inf)
        log_p = log_softmax(logits)
        matches = [k for k in range(len(keys)) if roles[i][k] == "yes"]
        surprise.append(-math.fsum(log_p[k] for k in matches) / len(matches))
        negatives.append(math.fsum(math.tan(math.exp(log_p[k])) for k in range(len(keys)) if roles[i][k] == "no"))
        everything.append(math.fsum(math.tan(math.exp(value)) for value in log_p))
    return np.array(surprise), np.array(negatives), np.array(everything)


def cra(cells, texts, kinds, past, progress, epoch, choices, stable=None, fixed=None):
    """Return the alignment of cells and texts (5.9); ``past`` is a bank's (cells, texts, kinds).

    ``fixed`` gives (trust, curriculum weights, omegas) that are not to be computed again: the description takes no
    gradient through them.
    """
    size, stable = len(cells), np.ones(len(cells)) if stable is None else stable
    all_cells = [*cells, *past[0]]
    all_texts = [*texts, *past[1]]
    all_kinds = [*kinds, *past[2]]
    roles = [[role(kinds, all_kinds, i, k, choices) for k in range(len(all_kinds))] for i in range(size)]
    hard_c, no_c, all_c = one_direction(cells, all_texts, roles, choices)
    hard_t, no_t, all_t = one_direction(texts, all_cells, roles, choices)
    agreed = symmetry(cells, texts, kinds, choices)
    if fixed is None:
        trust = np.array([trusted(*both, epoch, choices) for both in zip(agreed, stable, strict=True)])
        weight = curriculum((hard_c + hard_t) / 2, trust, progress, len(all_kinds), choices)
        omega = 1 - trust if choices.omega == "adaptive" else np.full(size, choices.omega)
    else:
        trust, weight, omega = fixed
    loss = ReferenceLoss(agreed, trust, weight)
    for i in range(size):
        whole = weight[i] if choices.weigh == "whole" else 1.0
        one, other = whole * trust[i] * hard_c[i], whole * trust[i] * hard_t[i]
        against = weight[i] * (no_c[i] / all_c[i] ** omega[i] + no_t[i] / all_t[i] ** omega[i])
        loss.cell_to_text += one / size
        loss.text_to_cell += other / size
        loss.complementary += against / size
    loss.total = loss.cell_to_text + loss.text_to_cell + choices.negative_weight * loss.complementary
    return loss
