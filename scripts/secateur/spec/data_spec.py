"""The data section: the places of the images, the split, and the way pixels become network input."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from secateur.spec.fields import Bytes, Folded, OptionalPath, Section, Share, numbers, spec_key


class SplitSpec(Section):
    """Own addition: the shares of the splits of `data.source`."""

    train: Share = spec_key(0.7, "share of the images for training", "split")
    val: Share = spec_key(0.1, "share of the images for validation", "split")
    test: Share = spec_key(0.2, "share of the images for the final test", "split")
    seed: int = spec_key(42, "another seed gives another split", "split", ge=0)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, not {self.train + self.val + self.test:g}")
        if not (self.train and self.val):
            raise ValueError("train and val need a share above 0")
        return self


def _two_numbers(value: Any) -> Any:
    """`auto`, or the numbers of a text such as `0, 4095`."""
    return value if value == "auto" else numbers(value)


class DataSpec(Section):
    """The places of the images and the way pixels become network input."""

    train_dataset_path: OptionalPath = spec_key(
        None, "folder with a folder of training images per class", "split", place=True
    )
    val_dataset_path: OptionalPath = spec_key(
        None, "folder with a folder of validation images per class", "split", place=True
    )
    preprocess_mode: Annotated[Literal["caffe", "torch", "tf"], Folded] = spec_key(
        "torch", "how pixels are scaled", "pixels"
    )
    image_mean: Annotated[list[float] | None, BeforeValidator(numbers)] = spec_key(
        None, "mean in BGR order; caffe mode only", "pixels"
    )
    num_classes: int | None = spec_key(None, "checked against the class folders when given", "split", ge=2)
    source: OptionalPath = spec_key(
        None,
        "own addition: images that are to be split: class folders; train, val and test folders; a table "
        "(.csv, .parquet); Pascal VOC; a zip or tar; path or URL",
        "split",
        place=True,
    )
    table_paths: Annotated[Literal["inside", "anywhere"], Folded] = spec_key(
        "inside",
        "own addition: what a table can name: inside = files below the table's folder and URLs of the same host; "
        "anywhere = all files and hosts, for a table that you trust",
        "split",
    )
    layout: Annotated[Literal["auto", "classes", "splits"], Folded] = spec_key(
        "auto",
        "own addition: what the folders of `source` are: classes, or splits such as train and val that hold the "
        "classes; auto: by their names and content",
        "split",
    )
    follow_links: bool = spec_key(
        True,
        "own addition: whether links to folders are followed, within the device of the folder that the spec names",
        "split",
        "inference",
    )
    split: SplitSpec = Field(default_factory=SplitSpec, description="own addition: shares of `source`")
    on_corrupt: Annotated[Literal["fail", "skip"], Folded] = spec_key(
        "fail", "own addition: what happens when an image file cannot be read", "split"
    )
    value_range: Annotated[Literal["auto"] | tuple[float, float], BeforeValidator(_two_numbers), Folded] = spec_key(
        "auto",
        "own addition: the two values that are black and white in images of more than 8 bits per channel, such as "
        "[0, 4095]; auto: 0 and 65535 for integers, 0 and 1 for floats; split stops if they do not fit",
        "split",
        "cache",
        "pixels",
    )
    background: Annotated[Literal["white", "black", "checker", "none"], Folded] = spec_key(
        "white",
        "own addition: what transparent images are laid on; none: the hidden colours count, as in TAO",
        "split",
        "cache",
        "pixels",
    )
    max_pixels: int = spec_key(
        89_478_485,
        "own addition: an image with more pixels is refused; a JPEG of one scan counts by its pixels at 1/2, 1/4 or "
        "1/8 of its sides",
        "split",
        "cache",
        "pixels",
        ge=1,
        le=2_000_000_000,
    )
    multi_label: Annotated[Literal["first", "largest", "drop"], Folded] = spec_key(
        "first",
        "own addition: the class of a Pascal VOC image with several classes: that of its first object, or of its "
        "largest box; drop leaves the image out",
        "split",
    )
    group: Annotated[Literal["none", "folder", "similar"], Folded] = spec_key(
        "none",
        "own addition: keep related images in one split: folder = same subfolder, similar = near-duplicates; the "
        "column `group` of a table always counts",
        "split",
    )
    cache: Annotated[Literal["auto", "always", "never"] | Bytes, Folded] = spec_key(
        "auto",
        "own addition: keep decoded images in a file; auto: if it fits in half the RAM and half the free disk; or a "
        "limit such as `20 GB`",
        "cache",
    )
    sampling: Annotated[Literal["natural", "balanced"], Folded] = spec_key(
        "natural", "own addition: balanced trains on every class equally often", "training"
    )

    @field_validator("value_range")
    @classmethod
    def _low_and_high(cls, value: Any) -> Any:
        if value != "auto" and not value[0] < value[1]:
            raise ValueError(f"value_range needs a smaller and a larger value, not {value[0]:g} and {value[1]:g}")
        return value

    @field_validator("image_mean")
    @classmethod
    def _one_or_three_means(cls, means: list[float] | None) -> list[float] | None:
        if means is not None and len(means) not in (0, 1, 3):
            raise ValueError(f"image_mean needs 3 values (BGR) or 1 (gray), not {len(means)}")
        return means or None
