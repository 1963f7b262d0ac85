"""``python -m boxoffice.cli``: the command line where no script of it is on the PATH."""

from boxoffice.cli import main

if __name__ == "__main__":
    main()
