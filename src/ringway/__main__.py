"""Makes `python -m ringway` the same program as `ringway`."""

from ringway.cli import main

if __name__ == "__main__":
    main()
