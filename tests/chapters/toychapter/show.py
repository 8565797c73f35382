from thesislib.chapters import pages


def page(results):
    rows = [(row, f"{100 * result['metrics']['toy_top1']:.0f}") for row, result in results.items()]
    return pages.grid(("row", "right, %"), rows)
