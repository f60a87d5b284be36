"""What the export step says beside the figures."""

import pytest
from secateur.spec import Spec
from secateur.steps.export import clipping_warning

AGREES = {"file": "m.xml", "data_type": "int8", "top_1_agreement": 0.98, "max_difference": 0.05}


@pytest.mark.parametrize(("here", "warns"), [(None, False), (0.97, False), (0.88, True)])
def test_int8_that_this_cpu_computes_inexactly_is_a_warning(here, warns):
    on_this_cpu = {} if here is None else {"on_this_cpu": {"top_1_agreement": here, "max_difference": 0.28}}
    warning = clipping_warning({**AGREES, **on_this_cpu}, Spec())
    assert (warning is not None) == warns
    assert not warns or ("m.xml" in warning and "88.0% here" in warning and "98.0%" in warning)
