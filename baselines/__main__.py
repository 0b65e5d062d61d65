"""The command ``imageclef``, and ``python -m baselines``, which hears Ctrl-C while the front door is imported, too."""

import sys


def main() -> int:
    """Run ``imageclef`` with the process's arguments; return the exit code."""
    try:
        from baselines import cli
    except KeyboardInterrupt:
        sys.stderr.write("imageclef: interrupted\n")
        return 130
    return cli.main()


if __name__ == "__main__":  # worker processes import the main module under another name
    sys.exit(main())
