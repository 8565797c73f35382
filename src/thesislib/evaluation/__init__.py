"""Evaluation protocols: an encoder and a data set in, a dictionary of metrics out."""
