"""Batches: order, shapes, and that draws depend on seed, epoch and position alone."""

import numpy as np
from secateur.data.filesystem import files_below
from secateur.data.pipeline import ImageBatches, ImageFiles, ImageReader, TrainingBatches, balanced_order
from secateur.spec import AugmentSpec, DataSpec, ModelSpec

MODEL = ModelSpec(input_image_size="3,16,20")


def batches(folder, workers=2, seed=1, epoch=0, size=5, **more):
    reader = ImageReader(DataSpec(), AugmentSpec(), MODEL, workers)
    paths = sorted(files_below(str(folder)))
    labels = [int("light" in path) for path in paths]
    return TrainingBatches(reader, ImageFiles(reader, paths, training=True), labels, 2, size, seed, epoch, **more)


def content(dataset):
    parts = [dataset[index] for index in range(len(dataset))]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def test_evaluation_batches_keep_order_and_the_last_partial_batch(class_folders):
    reader = ImageReader(DataSpec(), AugmentSpec(), MODEL, 3)
    paths = sorted(files_below(str(class_folders)))
    labels = [int("light" in path) for path in paths]
    dataset = ImageBatches(reader, ImageFiles(reader, paths, training=False), labels, 2, 7)
    images, one_hot = content(dataset)
    assert (len(dataset), images.shape, images.dtype) == (4, (24, 16, 20, 3), np.float32)
    assert one_hot.argmax(axis=1).tolist() == labels
    np.testing.assert_array_equal(images[8], reader.read(paths[8]))


def test_one_worker_and_four_give_the_same_batches(class_folders):
    for one, other in zip(content(batches(class_folders, 1)), content(batches(class_folders, 4)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_epochs_and_seeds_differ_and_each_epoch_has_every_image(class_folders):
    first, second = batches(class_folders, epoch=0), batches(class_folders, epoch=1)
    assert first.order.tolist() != second.order.tolist() != batches(class_folders, seed=2).order.tolist()
    assert sorted(first.order) == list(range(24))
    assert not np.array_equal(content(first)[0], content(second)[0])


def test_balanced_sampling_has_every_class_equally_often():
    labels = np.repeat([0, 1, 2], [90, 9, 1])
    order = balanced_order(labels, np.random.default_rng(0))
    assert np.bincount(labels[order]).tolist() == [34, 33, 33]
    assert len(set(order[labels[order] == 0])) == 34, "none twice before all have come once"
    assert sorted(np.bincount(order[labels[order] == 1])[90:99]) == [3] * 3 + [4] * 6
    assert order.tolist() != sorted(order)


def test_an_image_that_comes_twice_is_augmented_in_two_ways(class_folders):
    for path in sorted((class_folders / "dark").iterdir())[1:]:
        path.unlink()
    dataset = batches(class_folders, size=13, sampling="balanced")
    images, labels = dataset[0]
    dark = images[labels.argmax(axis=1) == 0]
    assert len(dark) >= 6
    assert len(np.unique(dark.reshape(len(dark), -1), axis=0)) == len(dark)


def test_class_weights_follow_mixed_labels(class_folders):
    dataset = batches(class_folders, class_weights=np.array([1, 3], np.float32))
    _, labels, weights = dataset[0]
    np.testing.assert_allclose(weights, labels @ [1, 3], rtol=1e-6)
    assert ((weights > 1) & (weights < 3)).any()
