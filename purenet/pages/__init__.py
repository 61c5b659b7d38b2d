"""The documentation as static pages, of the docstrings, the README and the scripts: `python -m purenet.pages OUT`."""
