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
ONE_THREAD = dict(os.environ, OMP_NUM_THREADS="1")


def namespaces_can_be_made():
    if not shutil.which("ip") or os.geteuid():
        return False
    made = subprocess.run(["ip", "netns", "add", "antiphon-try"], capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "delete", "antiphon-try"]).returncode == 0


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
        names = [f"antiphon-{os.getpid()}-{i}" for i in range(2)]
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            self.addCleanup(subprocess.run, ["ip", "netns", "delete", name])
        subprocess.run(["ip", "link", "add", "wire0", "netns", names[0], "type", "veth", "peer", "name", "wire1", "netns", names[1]], check=True)
        for i, name in enumerate(names):
            for words in (["addr", "add", f"10.77.0.{i + 1}/24", "dev", f"wire{i}"], ["link", "set", f"wire{i}", "up"], ["link", "set", "lo", "up"]):
                subprocess.run(["ip", "-n", name, *words], check=True)
        self.run_all(*(["ip", "netns", "exec", name, PROGRAM, "launch", *self.words("nodes")[2:], "--procs", 1, "--nodes", 2, "--node", i,
                        "--address", "10.77.0.1", "--port", 29612, *sets(parallel__interface=f"wire{i}")] for i, name in enumerate(names)))
        self.compare("nodes")


if __name__ == "__main__":
    main()
