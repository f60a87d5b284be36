"""Published parameter counts of the backbones."""

# `test_train_prune_train_export` has networks for gray images of these.
GRAY = ("resnet_10", "mobilenet_v2")
# Parameters without the head, and features, counted from TAO's structures: docs/decisions/backbones.md.
COUNTS = {
    "efficientnet-b0": (4_049_564, 1280),
    "efficientnet-b1": (6_575_232, 1280),
    "efficientnet-b2": (7_768_562, 1408),
    "efficientnet-b3": (10_783_528, 1536),
    "efficientnet-b4": (17_673_816, 1792),
    "efficientnet-b5": (28_513_520, 2048),
    "efficientnet-b6": (40_960_136, 2304),
    "efficientnet-b7": (64_097_680, 2560),
    "resnet_10": (4_915_904, 512),
    "resnet_18": (11_190_464, 512),
    "resnet_34": (21_306_048, 512),
    "resnet_50": (23_561_152, 2048),
    "resnet_101": (42_605_504, 2048),
    "resnet_152": (58_295_232, 2048),
    "vgg_16": (14_727_360, 512),
    "vgg_19": (20_040_896, 512),
    "mobilenet_v1": (3_228_864, 1024),
    "mobilenet_v2": (2_257_984, 1280),
    "googlenet": (5_995_392, 1024),
    "squeezenet": (735_424, 512),
    "darknet_19": (19_831_776, 1024),
    "darknet_53": (40_620_640, 1024),
    "cspdarknet_19": (16_219_104, 1024),
    "cspdarknet_53": (26_652_512, 1024),
    "cspdarknet_tiny": (3_633_632, 512),
    "alexnet": (3_747_200, 256),
}


def body(model):
    dense = model.get_layer("predictions_dense")
    return model.count_params() - dense.count_params(), dense.get_weights()[0].shape[0]
