"""The teacher's part of the loss, and training with it."""

import io

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError
from secateur.spec import DistillSpec, RetrainSpec
from secateur.training.checkpoints import Checkpoints
from secateur.training.distill import DistillationLoss, student_accuracy, with_teacher
from secateur.training.loop import Trainer

SECTION = {"batch_size_per_gpu": 8, "num_epochs": 3, "lr_config": {"learning_rate": 0.05}}


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_the_loss_is_hintons():
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 5))
    labels = np.eye(5)[rng.integers(0, 5, 6)]
    spec = DistillSpec(alpha=0.3, temperature=4.0)
    answers = np.concatenate([softmax(student), softmax(teacher)], axis=-1).astype("float32")
    loss = float(DistillationLoss(spec, label_smoothing=0.0)(labels, answers))
    hard = -(labels * np.log(softmax(student))).sum(axis=-1)
    wanted, given = softmax(teacher / 4), softmax(student / 4)
    soft = 16 * (wanted * np.log(wanted / given)).sum(axis=-1)
    assert loss == pytest.approx((0.7 * hard + 0.3 * soft).mean(), rel=1e-4)


def test_accuracy_is_the_students():
    answers = np.array([[0.9, 0.1, 0.1, 0.9], [0.2, 0.8, 0.9, 0.1]])
    assert np.asarray(student_accuracy(np.eye(2), answers)).tolist() == [1, 1]


def network(width, seed, classes=2):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = layers.BatchNormalization()(layers.Conv2D(width, 3)(inputs))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


class Noise(keras.utils.PyDataset):
    """Four batches whose labels say nothing: what is learnt comes from the teacher."""

    def __init__(self, epoch):
        super().__init__()
        rng = np.random.default_rng(epoch)
        self.images = rng.normal(rng.normal(size=(32, 1, 1, 1)), 1, (32, 8, 8, 1)).astype("float32")
        self.labels = np.eye(2, dtype="float32")[rng.integers(0, 2, 32)]

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.images[index * 8 : index * 8 + 8], self.labels[index * 8 : index * 8 + 8]


def trainer(student, teacher, epochs=3, folder=None, **distill):
    section = RetrainSpec(**{**SECTION, "num_epochs": epochs}, distill=distill or {"alpha": 1.0, "temperature": 2.0})
    return Trainer(
        student,
        section,
        Noise,
        Noise(99),
        32,
        stream=io.StringIO(),
        checkpoints=Checkpoints(folder, "k") if folder else None,
        teacher=teacher,
    )


def divergence(student, teacher):
    images = Noise(5).images
    own, other = (np.asarray(model(images, training=False)) for model in (student, teacher))
    return float((other * np.log(other / own)).sum(axis=-1).mean())


def test_a_student_comes_closer_to_its_teacher_which_stays_as_it_is():
    teacher, student = network(16, 1), network(4, 2)
    kernel, bias = teacher.layers[-1].get_weights()
    teacher.layers[-1].set_weights([kernel * 8, bias])
    before, far = [weight.copy() for weight in teacher.get_weights()], divergence(student, teacher)
    run = trainer(student, teacher, epochs=12)
    state = run.run()
    student.set_weights(state.last_weights)
    assert divergence(student, teacher) < 0.5 * far
    assert all(np.array_equal(one, other) for one, other in zip(before, teacher.get_weights(), strict=True))
    assert len(state.last_weights) == len(student.weights), "the teacher is no part of what is kept"


class StoppedError(Exception):
    pass


def test_the_teacher_answers_as_in_inference():
    teacher, student = network(8, 1), network(4, 2)
    images = Noise(5).images
    answers = np.asarray(with_teacher(student, teacher)(images, training=True))[:, 2:]
    np.testing.assert_allclose(answers, np.asarray(teacher(images, training=False)), rtol=1e-5)


def test_it_resumes_to_the_same_weights(tmp_path):
    teacher = network(8, 1)
    whole = trainer(network(4, 2), teacher).run()

    def stop(row, seconds):
        if row["epoch"] == 2:
            raise StoppedError

    first = trainer(network(4, 2), teacher, folder=tmp_path)
    first.on_epoch = stop
    with pytest.raises(StoppedError):
        first.run()
    again = trainer(network(4, 3), teacher, folder=tmp_path).run()
    assert again.history == whole.history
    assert all(np.array_equal(one, other) for one, other in zip(again.last_weights, whole.last_weights, strict=True))


def test_without_distill_there_is_no_teacher():
    student, teacher = network(4, 2), network(8, 1)
    plain = trainer(network(4, 2), None)
    plain.train_spec = RetrainSpec(**SECTION)
    ignored = trainer(student, teacher)
    ignored.train_spec = RetrainSpec(**SECTION)
    assert plain.run().history == ignored.run().history


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(ModelError, match=r"teacher's output_shape is \(None, 3\), the pruned model's \(None, 2\)"):
        with_teacher(network(4, 1), network(4, 1, classes=3))
