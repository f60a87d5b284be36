"""Eight-bit integers: the tensors to quantise, their ranges, and quantisation-aware training."""
