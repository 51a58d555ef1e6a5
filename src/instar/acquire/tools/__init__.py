"""Tools that a model may call while it works, and how calls are found in what it says."""
