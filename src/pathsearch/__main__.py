"""`python -m pathsearch`: the command where its script is not on the path."""

from pathsearch.cli import main

if __name__ == "__main__":
    main()
