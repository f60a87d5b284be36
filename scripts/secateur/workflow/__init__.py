"""The package for the Snakefile: experiments, files of each step, and what is out of date. It never imports Keras."""
