"""The statistics of the mechanisms on networks that are made so that each mechanism works, and on the same broken."""

import numpy as np
import pytest

from bgsnet_tf.evaluation import mechanisms
from bgsnet_tf.evaluation.mechanisms import Measured

N, K, A, IMAGES = 4, 8, 6, 240
FAMILIES = np.array([0, 0, 0, 1, 2, 3])


def rng(seed=0):
    return np.random.default_rng(seed)


def measured(**changes):
    """Six orthogonal classes, the first three a family; sub-module i sees class i alone, and w^t lets it through in those images."""
    labels = np.arange(IMAGES) % A
    truth = np.eye(A, dtype=np.float32)[labels]
    embeddings = np.zeros((IMAGES, N, K), np.float32)
    embeddings[:, :, :A] = truth[:, None]
    weights = np.full((IMAGES, N, K), 0.1, np.float32)
    weights[np.arange(IMAGES), labels % N] = 0.9
    kernel = np.zeros((N, K, A), np.float32)
    for i in range(N):
        kernel[i, :A] = np.eye(A)
    values = {
        "labels": labels,
        "phi": np.eye(A, dtype=np.float32),
        "families": FAMILIES,
        "general": truth + rng().normal(size=(IMAGES, A)).astype(np.float32),
        "embeddings": embeddings,
        "weights": weights,
        "gates": np.ones(N, np.float32),
        "w_start": np.arange(N, dtype=np.float32),
        "w": np.array([2.0, -1, 3, 1], np.float32),
        "kernel": kernel,
        "bias": np.linspace(0, 0.1, A, dtype=np.float32),
    }
    return Measured(**{**values, **changes})


def test_the_special_branch_is_f_s_of_all_balanced_embeddings():
    found = measured(embeddings=rng().normal(size=(IMAGES, N, K)), gates=np.array([1, 0.5, 0.2, 0.9]))
    balanced = found.weights * found.embeddings * found.gates[:, None]
    expected = balanced.reshape(IMAGES, -1) @ found.kernel.reshape(N * K, A) + found.bias
    np.testing.assert_allclose(found.special, expected, rtol=1e-5)
    np.testing.assert_allclose(found.fused, found.general + expected, rtol=1e-5)


def test_accuracies_within_and_between_families():
    found = measured()
    attributes = np.eye(A)[[1, 1, 0, 3, 4, 3]][np.arange(IMAGES) % A]  # of six classes
    assert mechanisms.accuracy(found, attributes) == pytest.approx(50)
    assert mechanisms.accuracy_within(found, attributes) == pytest.approx(100 / 3)
    assert mechanisms.accuracy_between(found, attributes) == pytest.approx(75)


def test_families_are_classes_that_differ_in_the_last_group_alone():
    attributes = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]])
    assert mechanisms.families_of(attributes, 2).tolist() == [1, 1, 0]
    assert len(set(mechanisms.families_of(attributes, 0))) == 3


def test_weights_that_answer_images_lose_by_shuffling_and_others_do_not():
    noise = rng(1).normal(size=(IMAGES, N, K)).astype(np.float32)
    found = measured(general=np.zeros((IMAGES, A), np.float32))
    own = np.arange(N) == (found.labels % N)[:, None]
    found = measured(
        general=found.general, embeddings=np.where(own[..., None], found.embeddings, 3 * noise), weights=own[..., None] * np.ones(K)
    )
    assert mechanisms.share_of_images(found) > 0.9
    assert mechanisms.loss_by_shuffling(found, rng()) > 20
    broken = found.with_shuffled_weights(rng(2))
    assert abs(mechanisms.loss_by_shuffling(broken, rng())) < 12
    static = measured(weights=np.broadcast_to(np.linspace(0, 1, N)[:, None], (IMAGES, N, K)))
    assert mechanisms.share_of_images(static) == pytest.approx(0, abs=1e-6) and mechanisms.loss_by_shuffling(static, rng()) == 0


def test_weights_of_fine_images_tell_them_and_shuffled_ones_do_not():
    weights = np.where((FAMILIES[np.arange(IMAGES) % A] == 0)[:, None, None], 0.7, 0.3) + 0.1 * rng().random((IMAGES, N, K))
    assert mechanisms.fine_told_by_weights(measured(weights=weights)) == 1
    assert mechanisms.fine_told_by_weights(measured(weights=1 - weights)) == 0
    assert mechanisms.fine_told_by_weights(measured(weights=weights).with_shuffled_weights(rng())) == pytest.approx(0.5, abs=0.1)
    assert mechanisms.fine_told_by_weights(measured(weights=np.full((IMAGES, N, K), 0.5))) == 0.5


def test_copies_err_together_and_independent_sub_modules_do_not():
    noise = 3 * rng().normal(size=(IMAGES, N, K)).astype(np.float32)
    embeddings = measured().embeddings + noise
    copies = np.repeat(embeddings[:, :1], N, axis=1)
    open_weights = np.ones((IMAGES, N, K))
    assert mechanisms.correlation_of_errors(measured(embeddings=copies, weights=open_weights)) > 0.95
    assert abs(mechanisms.correlation_of_errors(measured(embeddings=embeddings, weights=open_weights))) < 0.15
    assert np.isnan(mechanisms.correlation_of_errors(measured(embeddings=np.zeros((IMAGES, N, K)), bias=np.zeros(A))))


def test_gates_that_choose_the_good_sub_modules_beat_random_sets_and_dealt_ones_do_not():
    noise = 3 * rng().normal(size=(IMAGES, N, K)).astype(np.float32)
    noise[:, :2] = 0
    found = measured(embeddings=measured().embeddings + noise, weights=np.ones((IMAGES, N, K)), gates=np.array([0.9, 0.8, 0.1, 0.2]))
    assert mechanisms.kept(found) == 2 and mechanisms.kept_against_random(found, rng()) > 10
    dealt = [mechanisms.kept_against_random(found.with_shuffled_gates(rng(i)), rng()) for i in range(60)]
    assert np.mean(dealt) == pytest.approx(0, abs=5)
    assert mechanisms.kept_against_random(found.with_gates(np.ones(N)), rng()) == 0


def test_the_order_of_gates():
    assert mechanisms.order_kept(measured(w=np.array([5.0, 6, 7, 8]))) == 1
    assert mechanisms.order_kept(measured(w=np.array([8.0, 7, 6, 5]))) == -1
    assert mechanisms.order_kept(measured(w=np.zeros(N))) == 1


def test_equal_scales_do_not_depend_on_the_scale_of_a_branch():
    found = measured()
    one, other = (mechanisms.at_equal_scales(found.general, scale * found.special, found.phi) for scale in (1, 100))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
