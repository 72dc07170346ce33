"""What pyproject.toml cannot say: two folders of the clone are data of the package, under other names.

``export/`` (presets) and ``recipes/`` are edited at the top level and installed below ``edge_scs/presets/``: one
source, no copies. ``edge_scs.presets`` finds either.
"""

from setuptools import find_namespace_packages, setup

DATA = {"edge_scs.presets.export": "export", "edge_scs.presets.recipes": "recipes"}

setup(packages=[*find_namespace_packages(include=["edge_scs*"]), *DATA], package_dir=DATA)
