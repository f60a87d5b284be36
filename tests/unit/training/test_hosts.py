"""Who belongs to a training of several processes."""

import pytest
from secateur.errors import SpecError
from secateur.training.hosts import Hosts, hosts_of

SLURM = {"SLURM_JOB_ID": "5000", "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "n1,n2"}


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({}, Hosts()),
        (SLURM, Hosts(3, 2, "n1:64631")),
        # The script of a job, which is no step: one process, however many tasks the job has.
        ({"SLURM_JOB_ID": "5", "SLURM_NTASKS": "3", "SLURM_PROCID": "0"}, Hosts()),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, Hosts()),
        (
            {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1", "JAX_COORDINATOR_ADDRESS": "a:9"},
            Hosts(2, 1, "a:9"),
        ),
    ],
)
def test_srun_and_jax_say_who_they_are(environment, hosts):
    assert hosts_of(environment) == hosts


def test_half_of_what_is_needed_is_refused():
    with pytest.raises(SpecError, match="JAX_PROCESS_ID and JAX_COORDINATOR_ADDRESS"):
        hosts_of({"JAX_NUM_PROCESSES": "2"})
