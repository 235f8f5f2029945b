"""How the network for crops is fitted: what is drawn, what a label may stand for, the loss."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from crops import make_examples, make_split

from hematovision.training.backbone import start_tensorflow
from hematovision.training.crops.epoch import STRANGERS, draw_crops, draw_epoch
from hematovision.training.crops.examples import encode_annotated
from hematovision.training.crops.fit import SMOOTHING, fit_heads, marginal_loss, mark_right


def test_laboratories_are_drawn_evenly_and_rare_labels_oftener() -> None:
    labels = ["RBC"] * 900 + ["WBC"] * 100 + ["RBC"] * 50
    split = make_split(labels, ["large"] * 1000 + ["small"] * 50, size=2)
    chosen = draw_crops(split, 20_000, np.random.default_rng(0))
    assert len(chosen) == 20_000
    assert (split.lab[chosen] == "small").mean() == 0.5
    white = (split.label[chosen] == "WBC").sum() / (split.lab[chosen] == "large").sum()
    assert white == pytest.approx(0.25, abs=0.02)  # 3 : 1, the roots of 9 : 1


def test_each_of_many_laboratories_is_drawn() -> None:
    split = make_split(["RBC"] * 7, list("abcdefg"), size=2)
    for count in (7, 20):
        chosen = draw_crops(split, count, np.random.default_rng(0))
        assert len(chosen) == count
        assert set(split.lab[chosen]) == set("abcdefg")


def test_a_parent_may_be_any_of_its_kinds_and_an_unknown_label_any_that_is_not_red() -> None:
    train = make_split(["RBC", "WBC", "Neutrophil", "Monocyte", "Platelets"])
    val = make_split(["WBC", "Blast", "RBC", "Monocyte"])
    leaves, members, val_members = encode_annotated(train, val)
    assert leaves == ["Monocyte", "Neutrophil", "Platelets", "RBC"]
    assert members[1].tolist() == [True, True, False, False]
    assert members[[0, 2, 3, 4]].sum(axis=1).tolist() == [1, 1, 1, 1]
    assert val_members.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [False, False, False, True],
        [True, False, False, False],
    ]


def test_a_kind_that_training_never_saw_counts_as_its_parent() -> None:
    leaves, _, val_members = encode_annotated(make_split(["RBC", "WBC"]), make_split(["Basophil"]))
    assert [leaves[k] for k in np.flatnonzero(val_members[0])] == ["WBC"]


def test_the_loss_is_on_the_sum_of_what_a_label_may_stand_for() -> None:
    start_tensorflow(0)
    p = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], np.float32)
    members = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1]], np.float32)
    told = -np.log((p * members).sum(axis=1))
    smoothed = -np.log(p).mean(axis=1)
    expected = (1 - SMOOTHING) * told + SMOOTHING * smoothed
    found = np.asarray(marginal_loss(members, np.log(p) + 7))
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.asarray(mark_right(members, np.log(p))).tolist() == [1, 0, 1]


def test_a_leaf_that_is_not_asked_about_is_neither_learnt_nor_unlearnt() -> None:
    start_tensorflow(0)
    import tensorflow as tf

    logits = tf.Variable([[0.3, 1.2, 2.0, -1.0]])
    with tf.GradientTape() as tape:
        loss = marginal_loss(np.array([[1, 0, -1, 0]], np.float32), logits)
    gradient = np.asarray(tape.gradient(loss, logits))[0]
    assert gradient[2] == 0 and gradient[0] < 0 < min(gradient[1], gradient[3])
    others = np.array([[0.3, 1.2, -1.0]], np.float32)
    alone = marginal_loss(np.array([[1, 0, 0]], np.float32), others)
    assert float(loss[0]) == pytest.approx(float(alone[0]), abs=1e-6)
    right = mark_right(np.array([[1, 0, -1, 0]], np.float32), tf.convert_to_tensor(logits))
    assert float(right[0]) == 0


def test_crops_are_not_asked_about_leaves_that_none_of_them_shows() -> None:
    """But untyped white cells are: they may be of any type."""
    split = make_split(["RBC", "Neutrophil", "WBC"] * 20)
    known = ["Background", "Monocyte", "Neutrophil", "RBC"]
    leaves, members, _ = encode_annotated(split, split, known)
    assert leaves == known
    examples = replace(make_examples(split, members), leaves=leaves)
    assert examples.unshown.tolist() == [True, True, False, False]
    network = SimpleNamespace(frozen=lambda crops: crops.mean(axis=(1, 2, 3)))
    chunk = next(draw_epoch(network, examples, None, 60, [3]))
    rows = {tuple(row) for row in chunk.members[chunk.strange[:, 0] == 0].astype(int).tolist()}
    assert rows == {(-1, -1, 0, 1), (-1, -1, 1, 0), (-1, 1, 1, 0)}
    assert (chunk.members[chunk.strange[:, 0] == 1] == 1).all()
    fewer = examples.select(split.label == "RBC", split.label == "RBC")
    assert fewer.unshown.tolist() == [True, True, True, False]


@pytest.mark.parametrize("leaves", [2, 4])
def test_the_heads_learn_to_separate(leaves: int) -> None:
    start_tensorflow(0)
    labels = ["a", "b", "c", "d"][:leaves]
    split = make_split(np.repeat(labels, 40).tolist(), size=16)
    code = np.repeat(np.arange(leaves), 40)
    for crop, k in zip(split.X, code, strict=True):  # by their channels' brightness
        crop[:] = np.array([[200, 20, 20], [20, 200, 20], [20, 20, 200], [200, 200, 200]])[k]
    members = np.eye(leaves, dtype=bool)[code]
    head, novelty = Layer(6, leaves), Layer(6 + 12, 1)
    network = SimpleNamespace(
        frozen=pool_quarters,
        upper=SimpleNamespace(predict=lambda maps, **_: maps[:, 0, 0].astype(np.float32)),
        head=head,
        novelty=novelty,
    )
    fit_heads(network, make_examples(split, members), 0)
    features = pool_quarters(split.X)[:, 0, 0]
    kernel, bias = head.weights
    assert ((features @ kernel + bias).argmax(axis=1) == code).mean() > 0.97
    assert [w.shape for w in novelty.weights] == [(6 + 12, 1), (1,)]


class Layer:
    """Holds weights, as far as they are set and got."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.weights = [np.zeros((inputs, outputs)), np.zeros(outputs)]

    def get_weights(self) -> list[np.ndarray]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: tuple[np.ndarray, ...]) -> None:
        self.weights = list(weights)


def pool_quarters(crops: np.ndarray) -> np.ndarray:
    """Activations (n, 2, 2, 6): mean and spread of each channel of each quarter."""
    n, size = crops.shape[:2]
    quarters = crops.reshape(n, 2, size // 2, 2, size // 2, 3) / 255
    return np.concatenate([quarters.mean(axis=(2, 4)), quarters.std(axis=(2, 4))], axis=-1)


def test_who_is_interrupted_does_not_wait_for_what_is_being_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hematovision.training.crops.epoch.MOST_DRAWN", 64)
    split = make_split(["RBC", "WBC"] * 100)
    seen, reached, go_on, over = [0], threading.Event(), threading.Event(), threading.Event()

    def see(crops: np.ndarray) -> np.ndarray:
        seen[0] += len(crops)
        if seen[0] > 64 + 16:  # of the second chunk
            reached.set()
            go_on.wait(10)
            over.set()
        return crops.mean(axis=(1, 2, 3))

    chunks = draw_epoch(SimpleNamespace(frozen=see), make_examples(split), None, 200, [3])
    assert len(next(chunks).inputs) == 80
    assert reached.wait(30)
    chunks.close()
    assert not over.is_set()
    go_on.set()


@pytest.mark.parametrize("at_a_time", [1000, 64])
def test_an_epoch_is_drawn_some_crops_at_a_time(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stub's activations are the crops' own brightness."""
    monkeypatch.setattr("hematovision.training.crops.epoch.MOST_DRAWN", at_a_time)
    split = make_split(["RBC", "WBC"] * 100)
    network = SimpleNamespace(frozen=lambda crops: crops.mean(axis=(1, 2, 3)))
    chunks = list(draw_epoch(network, make_examples(split), None, 200, [3]))
    assert len(chunks) == -(-200 // at_a_time)
    for chunk in chunks:
        strange = chunk.strange[:, 0] == 1
        count = len(chunk.inputs) - strange.sum()
        assert count <= at_a_time and strange.sum() == int(count * STRANGERS)
        assert (chunk.of_leaves == ~strange).all()
        assert (chunk.members[~strange].sum(axis=1) == 1).all()
    drawn = [chunk.members[chunk.strange[:, 0] == 0] for chunk in chunks]
    assert len(np.concatenate(drawn)) == 200
    assert len({chunk.inputs.tobytes() for chunk in chunks}) == len(chunks)
