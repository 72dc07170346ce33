"""``python -m edge_scs`` and ``accelerate launch -m edge_scs`` run the command line."""

from edge_scs.cli import main

if __name__ == "__main__":
    main()
