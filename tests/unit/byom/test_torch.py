"""PyTorch networks of the families that users bring, as its exporter writes them."""

import warnings

import numpy as np
import pytest
from secateur.byom.from_onnx import keras_from_onnx
from secateur.errors import ModelError
from secateur.pruning import prune
from secateur.spec import PruneSpec

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[torch]'")
nn = torch.nn


def unit(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU):
    parts = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*parts, *([act()] if act else []))


class Residual(nn.Module):
    """ResNet's basic block; with groups, RegNet's bottleneck with squeeze and excitation."""

    def __init__(self, inputs, outputs, stride, groups=0, excite=False):
        super().__init__()
        if groups:
            self.body = nn.Sequential(unit(inputs, outputs, 1), unit(outputs, outputs, 3, stride, outputs // groups))
            self.last = unit(outputs, outputs, 1, act=None)
        else:
            self.body, self.last = unit(inputs, outputs, 3, stride), unit(outputs, outputs, act=None)
        self.excite = Excite(outputs) if excite else nn.Identity()
        self.project = unit(inputs, outputs, 1, stride, act=None) if inputs != outputs or stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.last(self.excite(self.body(x))) + self.project(x))


class Excite(nn.Module):
    def __init__(self, channels, gate=nn.Sigmoid):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, channels, 1), gate()
        )

    def forward(self, x):
        return x * self.gate(x)


class Inverted(nn.Module):
    """MobileNet v2 and v3, EfficientNet."""

    def __init__(self, channels, act, gate=None):
        super().__init__()
        wide = channels * 4
        parts = [unit(channels, wide, 1, act=act), unit(wide, wide, 3, groups=wide, act=act)]
        parts += [Excite(wide, gate)] if gate else []
        self.body = nn.Sequential(*parts, unit(wide, channels, 1, act=None))

    def forward(self, x):
        return x + self.body(x)


class Dense(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(channels + 8 * i), nn.ReLU(), nn.Conv2d(channels + 8 * i, 8, 3, padding=1))
            for i in range(3)
        )

    def forward(self, x):
        for part in self.parts:
            x = torch.cat([x, part(x)], 1)
        return x


class Branches(nn.Module):
    """Inception and SqueezeNet's fire."""

    def __init__(self, channels):
        super().__init__()
        self.one, self.three = unit(channels, 8, 1), nn.Sequential(unit(channels, 4, 1), unit(4, 8))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), unit(channels, 8, 1))
        self.averaged = nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(channels, 8, 1))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.pooled(x), self.averaged(x)], 1)


class ConvNextBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.wide, self.narrow, self.act = (
            nn.Linear(channels, 4 * channels),
            nn.Linear(4 * channels, channels),
            nn.GELU(),
        )
        self.scale = nn.Parameter(torch.rand(channels))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(self.act(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


class LastPlace(nn.Module):
    """Normalisation over the channels of a map, as ConvNeXt has it between its stages."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class View(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1)


def head(channels, *more):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, 5), *more]


NETWORKS = {
    "resnet": lambda: [unit(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1), Residual(16, 16, 1), Residual(16, 32, 2), *head(32)],
    "regnet": lambda: [unit(3, 16, 3, 2), Residual(16, 32, 2, groups=8, excite=True), *head(32)],
    "mobilenet_v2": lambda: [unit(3, 8, 3, 2, act=nn.ReLU6), Inverted(8, nn.ReLU6), *head(8)],
    "mobilenet_v3": lambda: [
        unit(3, 8, 3, 2, act=nn.Hardswish),
        Inverted(8, nn.Hardswish, nn.Hardsigmoid),
        nn.AdaptiveAvgPool2d(1),
        View(),
        nn.Linear(8, 16),
        nn.Hardswish(),
        nn.Linear(16, 5),
    ],
    "efficientnet": lambda: [unit(3, 8, 3, 2, act=nn.SiLU), Inverted(8, nn.SiLU, nn.Sigmoid), *head(8)],
    "vgg": lambda: [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((4, 5)),
        View(),
        nn.Linear(160, 16),
        nn.ReLU(),
        nn.Linear(16, 5),
        nn.Softmax(1),
    ],
    "densenet": lambda: [unit(3, 8, 7, 2), Dense(8), nn.AvgPool2d(2, 2), *head(32)],
    "squeezenet": lambda: [
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Branches(8),
        nn.Conv2d(32, 5, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ],
    "convnext": lambda: [
        nn.Conv2d(3, 8, 4, 4),
        LastPlace(8),
        ConvNextBlock(8),
        LastPlace(8),
        nn.Conv2d(8, 12, 2, 2),
        ConvNextBlock(12),
        *head(12),
    ],
}
# Pooled to 4x5 from a map of that multiple: the exporter can only write windows that divide.
SIZE = {"vgg": (16, 20)}


def convert(name, path, opset):
    torch.manual_seed(0)
    network = nn.Sequential(*NETWORKS[name]())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    images = torch.randn(1, 3, *SIZE.get(name, (37, 50)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (images,),
            str(path),
            opset_version=opset,
            input_names=["images"],
            dynamic_axes={"images": {0: "batch"}},
            dynamo=False,
        )
    with torch.no_grad():
        return images.numpy().transpose(0, 2, 3, 1), network(images).numpy()


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_pytorch(tmp_path, name, opset):
    if opset < 14 and name == "mobilenet_v3":
        pytest.skip("the exporter needs opset 14 for hard swish")
    images, expected = convert(name, tmp_path / "m.onnx", opset)
    imported = keras_from_onnx(tmp_path / "m.onnx")
    assert imported.difference < 1e-4
    np.testing.assert_allclose(imported.model(images), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["regnet", "convnext"])
def test_what_to_exclude_from_pruning_is_said_at_once(tmp_path, name):
    convert(name, tmp_path / "m.onnx", 17)
    model = keras_from_onnx(tmp_path / "m.onnx").model
    spec = PruneSpec(threshold=0.99, min_num_filters=1, granularity=1)
    with pytest.raises(ModelError, match="cannot follow pruned channels") as caught:
        prune(model, spec)
    names = caught.value.hint.removeprefix("add to prune.excluded_layers: ").split(", ")
    _, report = prune(model, spec.model_copy(update={"excluded_layers": names}))
    assert report.after.params < report.before.params
