"""What happened, for people: one page an experiment, and one over all of them."""
