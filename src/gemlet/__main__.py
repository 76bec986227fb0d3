"""`python -m gemlet` is `gemlet`."""

from gemlet.cli.main import main

main()
