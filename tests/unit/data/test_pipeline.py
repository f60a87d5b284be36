"""Batches: order, shapes, and that draws depend on seed, epoch and position alone."""

import numpy as np
from secateur.data.listing import files_below
from secateur.data.pipeline import ImageBatches, ImageReader, TrainingBatches
from secateur.spec import AugmentSpec, DataSpec, ModelSpec

MODEL = ModelSpec(input_image_size="3,16,20")


def batches(folder, workers=2, seed=1, epoch=0, size=5):
    reader = ImageReader(DataSpec(), AugmentSpec(), MODEL, workers)
    paths = sorted(files_below(str(folder)))
    return TrainingBatches(reader, paths, [int("light" in path) for path in paths], 2, size, seed, epoch)


def content(dataset):
    parts = [dataset[index] for index in range(len(dataset))]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def test_evaluation_batches_keep_order_and_the_last_partial_batch(class_folders):
    reader = ImageReader(DataSpec(), AugmentSpec(), MODEL, 3)
    paths = sorted(files_below(str(class_folders)))
    labels = [int("light" in path) for path in paths]
    dataset = ImageBatches(reader, paths, labels, 2, 7)
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
