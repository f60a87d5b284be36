"""What the Snakefile imports: the experiments, the files of each step, what is out of date. Never Keras."""
