"""Everything that can be found wrong with a run before a token is spent: small checks, one list, all findings at once.

``instar run`` and ``instar run --dry-run`` go through ``preflight``, before a run's folder is made.
"""
