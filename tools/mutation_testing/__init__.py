"""What `tools/mutation.py` is made of: mutants and their sample, their trials, the page that tells of them."""
