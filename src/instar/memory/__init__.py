"""What a policy remembers: a frozen value, the pure functions that change it, how it is kept and how it is searched."""
