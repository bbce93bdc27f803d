"""Text for terminals, and what `--json` prints. No modelling."""
