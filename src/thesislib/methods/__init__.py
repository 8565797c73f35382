"""The methods of the thesis, one file a paper, each in its paper's order."""
