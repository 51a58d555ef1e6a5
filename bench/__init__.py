"""Side-by-side measurements against peers: ``python -m bench`` (or ``make bench``), one row a benchmark."""
