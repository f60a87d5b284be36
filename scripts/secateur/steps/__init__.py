"""The steps, one file per rule. Only this code reads and writes the files of a run."""
