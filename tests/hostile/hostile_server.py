"""A server on stdio whose tools are the healthy ones and every hostile one: `python hostile_server.py`."""

import math

from tests.hostile.crowd import Town
from tests.hostile.functions import HOSTILE

town = Town(deadline=math.inf)
for hostile in HOSTILE.values():
    town.server.tool(hostile.run)

if __name__ == "__main__":
    town.server.run()
