"""Documents as sources of tasks: read within limits, cut into passages, each known by the digest of what it says."""
