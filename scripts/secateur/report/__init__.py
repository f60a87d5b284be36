"""Pages for people: one per experiment, and one over all experiments."""
