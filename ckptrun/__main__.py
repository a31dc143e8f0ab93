"""`python -m ckptrun`."""

from ckptrun.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
