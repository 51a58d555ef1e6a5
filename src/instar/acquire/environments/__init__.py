"""Environments: worlds to act in over turns, each the source of its own tasks."""
