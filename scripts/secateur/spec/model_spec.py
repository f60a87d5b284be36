"""The model section: the backbone and its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from secateur.spec.architectures import BYOM, canonical_arch
from secateur.spec.fields import Folded, Fraction, OptionalPath, Section, empty_to_none, numbers, spec_key

MIN_IMAGE_SIDE = 16  # the specification says: X, Y >= 16
MAX_IMAGE_SIDE = 16384
# The type of pydantic's error about the name of a backbone.
OF_ARCH = "arch"


def _one_or_three(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    return channels


def _side(name: str) -> Callable[[int], int]:
    def checked(pixels: int) -> int:
        if not MIN_IMAGE_SIDE <= pixels <= MAX_IMAGE_SIDE:
            raise ValueError(f"{name} must be {MIN_IMAGE_SIDE} to {MAX_IMAGE_SIDE}, not {pixels}")
        return pixels

    return checked


_SIDE = WithJsonSchema({"type": "integer", "minimum": MIN_IMAGE_SIDE, "maximum": MAX_IMAGE_SIDE})
Channels = Annotated[int, AfterValidator(_one_or_three), WithJsonSchema({"type": "integer", "enum": [1, 3]})]
Height = Annotated[int, AfterValidator(_side("height")), _SIDE]
Width = Annotated[int, AfterValidator(_side("width")), _SIDE]


class ModelSpec(Section):
    """The backbone and its input."""

    arch: str = spec_key(
        "efficientnet-b0",
        "backbone: resnet_10, _18, _34, _50, _101, _152, efficientnet-b0 to -b7, vgg_16, _19, "
        "mobilenet_v1, _v2, googlenet, squeezenet, darknet_19, _53, cspdarknet_19, _53, _tiny, alexnet; "
        "byom for byom_model",
        "training",
        "bundle",
    )
    n_layers: int | None = spec_key(None, "depth, for specs that write `arch: resnet`", "training")
    input_image_size: tuple[Channels, Height, Width] = spec_key(
        (3, 224, 224), "channels, height, width", "cache", "pixels"
    )
    input_image_depth: Literal[8, 16] = spec_key(8, "bits per channel", "cache", "pixels")
    resize_interpolation_method: Annotated[Literal["bilinear", "bicubic"], Folded] = spec_key(
        "bilinear", "how images are resized", "cache", "pixels"
    )
    use_pooling: bool = spec_key(False, "max pooling instead of strided convolutions", "training")
    use_batch_norm: bool = spec_key(False, "batch normalisation layers", "training")
    use_bias: bool = spec_key(False, "biases in convolutions", "training")
    all_projections: bool = spec_key(False, "a projection on every shortcut", "training")
    freeze_blocks: Annotated[list[int] | None, BeforeValidator(numbers)] = spec_key(
        None, "blocks whose convolutions do not train", "training"
    )
    freeze_bn: bool = spec_key(False, "batch normalisation keeps its statistics, scale and offset", "training")
    retain_head: bool = spec_key(False, "keep the head of the ImageNet network", "training")
    dropout: Fraction = spec_key(0.0, "dropout rate of VGG and SqueezeNet", "training")
    activation_type: Annotated[
        Literal["relu", "relu6", "swish", "leaky_relu", "elu", "mish"] | None, Folded, BeforeValidator(empty_to_none)
    ] = spec_key(None, "activation instead of the backbone's own", "training")
    padding: Annotated[Literal["same", "symmetric"] | None, Folded] = spec_key(
        None,
        "own addition, ResNet and MobileNet: how strided windows pad; weights of keras.applications need symmetric "
        "for ResNet and same for MobileNet",
        "training",
    )
    byom_model: OptionalPath = spec_key(None, "arch byom: the user's own model, .tltb or .keras", "training")

    @field_validator("input_image_size", mode="before")
    @classmethod
    def _size_from_text(cls, size: Any) -> Any:
        return size.split(",") if isinstance(size, str) else size

    @model_validator(mode="before")
    @classmethod
    def _canonical_arch(cls, values: Any) -> Any:
        if not isinstance(values, dict) or isinstance(values.get("arch", ""), dict | list | None):
            return values
        depth = values.get("n_layers")
        whole = str(depth).strip().isdecimal() and not isinstance(depth, bool)
        arch = str(values.get("arch", cls.model_fields["arch"].default))
        try:
            return {**values, "arch": canonical_arch(arch, int(str(depth)) if whole else None)}
        except ValueError as error:
            raise PydanticCustomError(OF_ARCH, "{reason}", {"reason": str(error)}) from None

    @model_validator(mode="after")
    def _byom_has_a_model(self) -> Self:
        if (self.arch == BYOM) != (self.byom_model is not None):
            raise ValueError("`arch: byom` and `byom_model: FILE` belong together; write both or neither")
        return self

    @model_validator(mode="after")
    def _sixteen_bit_is_gray(self) -> Self:
        if self.input_image_depth == 16 and self.input_image_size[0] != 1:
            raise ValueError("input_image_depth 16 needs input_image_size with 1 channel")
        return self
