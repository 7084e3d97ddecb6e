"""`python -m trimcp` is the command `trimcp`."""

from trimcp.cli import main

if __name__ == "__main__":
    main()
