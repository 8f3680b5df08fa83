"""`python -m latentarena` is `arena`."""

from latentarena.cli import main

if __name__ == "__main__":
    main()
