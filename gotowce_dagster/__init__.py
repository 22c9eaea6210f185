"""Turn the designator a game draws around its target into a trained detector."""

import os

# Read when torch loads its OpenMP. Threads that spin while they wait take the cores from whatever else runs:
# beside one other busy process on two cores, SAM 2 took 9.1 s a frame spinning and 1.2 s without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
