"""A SLURM of one node on loopback, for tests: munge, the controller and a node's daemon in a folder of their own."""

import os
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

# The SLURM plugin of Snakemake takes SLURM_* out of a job's environment: the configuration must stand here.
SYSTEM = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16917
SlurmdPort=16918
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=300
SlurmdParameters=config_overrides
KillWait=30
RequeueExit=75
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE DefMemPerCPU=2000 State=UP
"""


def missing():
    """Why there can be no SLURM here, or nothing."""
    if os.geteuid():
        return "SLURM's daemons want root"
    if SYSTEM.exists():
        return f"this machine has a SLURM of its own: {SYSTEM}"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"no {', '.join(absent)}: install slurm-wlm and munge" if absent else ""


class Slurm:
    """Started by `with`, gone after it."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def environment(self):
        """What its programs need."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self):
        for name in ("state", "spool", "munge", "dev"):
            (self.folder / name).mkdir(parents=True)
        for number in range(2):  # as /dev/null is
            os.mknod(self.folder / f"dev/gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (self.folder / "munge").chmod(0o711)
        host = socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=self.folder))
        (self.folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={self.folder}/dev/gpu[0-1]\n")
        SYSTEM.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM.symlink_to(self.folder / "slurm.conf")
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        places = [f"--{option}={self.folder}/munge/{name}" for option, name in munge.items()]
        self.call("munged", "--force", *places)
        self.call("slurmctld", "-c")
        self.call("slurmd", "-c")
        self.wait(lambda: self.call("sinfo", "-h", "-o", "%T").strip() == "idle", 30)
        return self

    def __exit__(self, *_):
        self.call("scancel", "--user=root")
        SYSTEM.unlink()
        for pid in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            path = self.folder / pid
            if path.exists():
                subprocess.run(["kill", path.read_text().strip()], check=False)

    def call(self, *command):
        """Run one of its programs; what it prints."""
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def submit(self, script, *options):
        """Queue a job; its number."""
        return self.call("sbatch", "--parsable", *options, str(script)).strip()

    def about(self, job):
        """What the controller knows of a job, by name."""
        words = self.call("scontrol", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    @staticmethod
    def wait(condition, seconds, process=None):
        """Until it holds; in vain when a process that should bring it about has ended."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            assert process is None or process.poll() is None, "the process ended before"
            time.sleep(0.2)
