"""``python -m opsconsole`` is the ``opsconsole`` command."""

from opsconsole.cli.main import main

if __name__ == "__main__":
    main()
