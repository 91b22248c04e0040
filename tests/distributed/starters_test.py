"""Processes started by torchrun, by mpirun, and by `antiphon launch` on two machines (network namespaces) train what one
trains."""

import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import DEVICE, LIMIT, PROGRAM, ROOT, Case, main, sets

COMMON = sets(train__steps=8, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=4, precision__compute="fp32")
ONE_THREAD = dict(os.environ, OMP_NUM_THREADS="1", ANTIPHON=str(PROGRAM))


def namespaces_can_be_made():
    if not shutil.which("ip") or os.geteuid():
        return False
    made = subprocess.run(["ip", "netns", "add", "antiphon-try"], capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "delete", "antiphon-try"]).returncode == 0


def slurm_answers():
    return bool(shutil.which("sbatch")) and subprocess.run(["sinfo"], capture_output=True, timeout=20).returncode == 0


@unittest.skipIf(DEVICE, "processes exchange tensors of the CPU")
class Starters(Case):
    def words(self, run, *args):
        return [PROGRAM, "train", self.config, *sets(train__output=self.folder / run), *COMMON, *args]

    def run_all(self, *commands, **options):
        """At once, each to a good end."""
        running = [subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ONE_THREAD, **options) for command in commands]
        for process in running:
            self.addCleanup(process.kill)
        for process in running:
            text = process.communicate(timeout=2 * LIMIT)[0]
            self.assertEqual(process.returncode, 0, text[-4000:])

    def compare(self, run):
        one = self.folder / "one"
        if not one.exists():
            self.run_all(self.words("one"))
        self.assert_same_run(one, self.folder / run)

    def test_torchrun(self):
        for name, rendezvous in (("static", ["--master-addr", "127.0.0.1", "--master-port", "29611"]), ("standalone", ["--standalone"])):
            with self.subTest(name):
                launcher = [ROOT / ".venv/bin/python", "-m", "torch.distributed.run", *rendezvous, "--nproc-per-node", 2, "--no-python"]
                self.run_all([*launcher, *self.words(name)])
                self.compare(name)

    @unittest.skipUnless(shutil.which("mpirun"), "no Open MPI")
    def test_mpirun(self):
        self.run_all(["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", 2, *self.words("mpi")])
        self.compare("mpi")

    @unittest.skipUnless(namespaces_can_be_made(), "no network namespaces can be made")
    def test_two_machines(self):
        """Each in a network namespace of its own, joined by a cable; nothing else is reachable from there."""
        self.run_all([ROOT / "configs/clusters/two_machines.sh", *self.words("nodes")[2:]])
        self.compare("nodes")
        left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        self.assertNotIn("antiphon-", left)

    @unittest.skipUnless(slurm_answers(), "no Slurm")
    def test_slurm(self):
        """Processes that srun starts, and a job of one launcher a machine."""
        self.run_all(["srun", "--ntasks", 2, *self.words("srun")])
        self.compare("srun")
        output = self.folder / "slurm.out"
        self.run_all(["sbatch", "--wait", "--output", output, ROOT / "configs/clusters/slurm.sh", *self.words("sbatch")[2:]])
        self.assertIn("2 processes share the 2 batches of a step", output.read_text())
        self.compare("sbatch")

    def test_scripts(self):
        for script in sorted((ROOT / "configs/clusters").glob("*.sh")):
            with self.subTest(script.name):
                self.assertTrue(os.access(script, os.X_OK))
                subprocess.run(["bash", "-n", script], check=True)


if __name__ == "__main__":
    main()
