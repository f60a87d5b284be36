"""Eight-bit integers: where a network is quantised, with which ranges, and how it is trained for it."""
