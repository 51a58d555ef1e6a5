"""instar: language models that improve themselves by experience, with evidence."""

__version__ = "0.1.0"
