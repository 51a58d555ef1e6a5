"""``python -m instar.cli`` is the command ``instar``."""

import sys


def main() -> None:
    """Run the command line. Its parts are loaded inside, so that Ctrl-C is answered from the first moment."""
    try:
        from instar.cli.main import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    main()
