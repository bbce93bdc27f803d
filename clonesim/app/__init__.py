"""The planner page: pick a guest, a workload, a strategy and a density, and see at once what they come to."""
