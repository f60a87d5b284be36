"""One training over several hosts: the same command in a process on each, which JAX joins to one.

`srun` starts them and says who they are; elsewhere `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`
do. The first process writes all files; the others compute. They decide together when to stop: a signal comes to each at
another moment, and a batch that one of them leaves out makes the others wait for ever.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from secateur.errors import SpecError

# Until the first process has examined and packed the images, the others wait to be joined.
LONGEST_WAIT_S = 24 * 3600
# As many ports as SLURM job numbers are told apart by, at the end of the range.
PORTS, LAST_PORT = 4096, 65535


@dataclass(frozen=True)
class Hosts:
    """The processes of one training.

    Attributes:
        count: number of processes.
        rank: of this one, from 0.
        coordinator: host:port of the first.
    """

    count: int = 1
    rank: int = 0
    coordinator: str = ""

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0


def hosts_of(environment: Mapping[str, str]) -> Hosts:
    """The processes that this one belongs to.

    Raises:
        SpecError: the environment names several processes, but not all that is needed to join them.
    """
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        first = _first_host(environment["SLURM_STEP_NODELIST"])
        port = LAST_PORT - int(environment["SLURM_JOB_ID"]) % PORTS
        return Hosts(int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"]), f"{first}:{port}")
    if int(environment.get("JAX_NUM_PROCESSES", "1")) > 1:
        missing = [name for name in ("JAX_PROCESS_ID", "JAX_COORDINATOR_ADDRESS") if not environment.get(name)]
        if missing:
            raise SpecError(f"JAX_NUM_PROCESSES is set, but not {' and '.join(missing)}", "set all three, or none")
        return Hosts(
            int(environment["JAX_NUM_PROCESSES"]),
            int(environment["JAX_PROCESS_ID"]),
            environment["JAX_COORDINATOR_ADDRESS"],
        )
    return Hosts()


def _first_host(nodes: str) -> str:
    """Of SLURM's way to write many: `node[01-04,7]`."""
    if "[" not in nodes:
        return nodes.split(",", maxsplit=1)[0]
    told = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    return told.stdout.split()[0]


def join(hosts: Hosts) -> None:
    """Make one computer of all processes; to be called before anything is computed. Waits for the first one."""
    if hosts.count == 1:
        return
    import jax  # noqa: PLC0415 - it is an extra

    jax.distributed.initialize(hosts.coordinator, hosts.count, hosts.rank, initialization_timeout=LONGEST_WAIT_S)


def joined() -> Hosts:
    """The processes that were joined."""
    import keras  # noqa: PLC0415

    if keras.backend.backend() != "jax":
        return Hosts()
    import jax  # noqa: PLC0415

    return Hosts(jax.process_count(), jax.process_index())


def any_of(flags: list[bool]) -> list[bool]:
    """For each flag whether it is set in any process; every process must ask at the same place of its work."""
    hosts = joined()
    if hosts.count == 1:
        return flags
    import numpy as np  # noqa: PLC0415
    from jax.experimental import multihost_utils  # noqa: PLC0415

    everywhere = np.reshape(multihost_utils.process_allgather(np.array(flags)), (hosts.count, len(flags)))
    return [bool(everywhere[:, index].any()) for index in range(len(flags))]
