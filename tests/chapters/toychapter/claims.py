from thesislib.claims import Greater

CLAIMS = (Greater("toy", "9.1", "toy/line", "toy/guess", "A line beats guessing.", "toy_top1"),)
