"""The augment section."""

from __future__ import annotations

from secateur.spec.fields import Section, spec_key


class AugmentSpec(Section):
    """Augmentation in training; the centre crop is for validation, evaluation and inference."""

    enable_random_crop: bool = spec_key(True, "random crop in training", "cache", "training")
    enable_center_crop: bool = spec_key(True, "centre crop outside training", "cache", "pixels")
    enable_color_augmentation: bool = spec_key(True, "random hue, saturation and contrast in training", "training")
    disable_horizontal_flip: bool = spec_key(False, "no random mirroring in training", "training")
    mixup_alpha: float = spec_key(0.2, "Beta parameter of mixup; 0 turns mixup off", "training", ge=0)
