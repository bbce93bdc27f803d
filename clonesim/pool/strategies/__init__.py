"""Strategies for statelessness as mechanisms: where a clone's writes go, when its disks are emptied."""
