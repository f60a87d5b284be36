"""Which optimizer a section names."""

import keras
import pytest
from secateur.errors import SpecError
from secateur.spec import OptimConfig
from secateur.training.optimizers import optimizer_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", keras.optimizers.SGD), ("adam", keras.optimizers.Adam), ("rmsprop", keras.optimizers.RMSprop)],
)
def test_each_name_gives_its_optimizer(name, kind):
    optimizer = optimizer_of(OptimConfig(optimizer=name), 0.25)
    assert type(optimizer) is kind
    assert float(optimizer.learning_rate) == 0.25


def test_an_unknown_name_is_an_error():
    """The spec refuses it before; a section that was made without checks must not become SGD."""
    config = OptimConfig.model_construct(optimizer="adamw")
    with pytest.raises(SpecError, match="unknown optimizer 'adamw'"):
        optimizer_of(config, 0.1)
