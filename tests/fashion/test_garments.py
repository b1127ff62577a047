"""The built-in images: the same everywhere, ten balanced classes, hard for the right reasons."""

import hashlib

import numpy as np
import pytest
import torch

from gridstudy.fashion.garments import CLASS_NAMES, draw_garments

CONFUSABLE = [0, 2, 4, 6]


@pytest.fixture(scope="module")
def small():
    return draw_garments(6_000, 1_000)


def test_images_and_labels_have_the_form_of_fashion_mnist(small):
    train_images, train_labels, test_images, test_labels = small
    assert train_images.shape == (6_000, 28, 28)
    assert test_images.shape == (1_000, 28, 28)
    assert {array.dtype for array in small} == {np.dtype(np.uint8)}
    assert np.bincount(train_labels).tolist() == [600] * len(CLASS_NAMES)
    assert np.bincount(test_labels).tolist() == [100] * len(CLASS_NAMES)


def test_the_same_bits_are_drawn_on_every_machine(small):
    digest = hashlib.sha256(b"".join(array.tobytes() for array in small)).hexdigest()
    assert digest[:12] == "ce388a9f8b2c"  # raise GARMENTS_VERSION where this changes


def test_no_image_is_empty_or_drawn_twice(small):
    images = np.concatenate([small[0], small[2]]).reshape(7_000, -1)
    assert (images.max(axis=1) > 30).all()
    assert len(np.unique(images, axis=0)) == 7_000


def test_labels_come_in_random_order(small):
    labels = small[1]
    assert 0.05 < (labels[1:] == labels[:-1]).mean() < 0.15


def test_upper_bodies_are_what_a_network_confuses(small, one_thread):
    train_images, train_labels, test_images, test_labels = small
    guesses = _trained_guesses(train_images, train_labels, test_images)
    wrong = guesses != test_labels
    within = wrong & np.isin(guesses, CONFUSABLE) & np.isin(test_labels, CONFUSABLE)
    assert 0.65 < 1 - wrong.mean() < 0.9
    assert within.sum() > 0.5 * wrong.sum()


@pytest.fixture
def one_thread():
    """Small products are far slower on two threads of a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _trained_guesses(images, labels, test_images):
    torch.manual_seed(0)
    linear = torch.nn.Linear
    network = torch.nn.Sequential(linear(784, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    pixels = torch.from_numpy(images.reshape(-1, 784)).float() / 255
    targets = torch.from_numpy(labels.astype(np.int64))
    for step in range(300):
        batch = torch.arange(step * 64, step * 64 + 64) % len(pixels)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(pixels[batch]), targets[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        return network(torch.from_numpy(test_images.reshape(-1, 784)).float() / 255).argmax(1).numpy()
