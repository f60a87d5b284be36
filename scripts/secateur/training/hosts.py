"""Run one training on several hosts: each host runs the same command, and JAX joins the processes.

`srun` starts the processes and numbers them; elsewhere set `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and
`JAX_PROCESS_ID`. The first process writes all files; the others only compute. They decide together when to stop, since
signals arrive at different times, and the others would wait forever for a batch that one process leaves out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from secateur.errors import SpecError

# The other processes wait until the first has examined the images and written the image cache.
LONGEST_WAIT_S = 24 * 3600
# Ports at the end of the range; the SLURM job number chooses one of them.
PORTS, LAST_PORT = 4096, 65535


@dataclass(frozen=True)
class Hosts:
    """The processes of one training.

    Attributes:
        count: number of processes.
        rank: of this process, from 0.
        coordinator: host:port of the first process.
    """

    count: int = 1
    rank: int = 0
    coordinator: str = ""

    @property
    def first(self) -> bool:
        """Whether this is the first process, which writes the files."""
        return self.rank == 0


def hosts_of(environment: Mapping[str, str]) -> Hosts:
    """The processes of this training, from the environment.

    Raises:
        SpecError: the environment names several processes, but some variables for joining them are missing.
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
    """The first host of a list in SLURM's notation: `node[01-04,7]`."""
    if "[" not in nodes:
        return nodes.split(",", maxsplit=1)[0]
    told = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    return told.stdout.split()[0]


def join(hosts: Hosts) -> None:
    """Join all processes. Call it before any computation. It waits for the first process."""
    if hosts.count == 1:
        return
    import jax  # noqa: PLC0415 - an extra

    jax.distributed.initialize(hosts.coordinator, hosts.count, hosts.rank, initialization_timeout=LONGEST_WAIT_S)


def joined() -> Hosts:
    """The processes that were joined."""
    import keras  # noqa: PLC0415

    if keras.backend.backend() != "jax":
        return Hosts()
    import jax  # noqa: PLC0415

    return Hosts(jax.process_count(), jax.process_index())


def any_of(flags: list[bool]) -> list[bool]:
    """For each flag, whether it is set in any process. All processes must call this at the same point of their work."""
    hosts = joined()
    if hosts.count == 1:
        return flags
    import numpy as np  # noqa: PLC0415
    from jax.experimental import multihost_utils  # noqa: PLC0415

    everywhere = np.reshape(multihost_utils.process_allgather(np.array(flags)), (hosts.count, len(flags)))
    return [bool(everywhere[:, index].any()) for index in range(len(flags))]
