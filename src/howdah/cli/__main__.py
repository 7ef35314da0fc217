"""`python -m howdah.cli`: the program where no `howdah` is installed on the path."""

from howdah.cli.main import main

main()
