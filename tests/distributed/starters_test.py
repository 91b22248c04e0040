"""Processes started by torchrun, by mpirun, and by `antiphon launch` on two machines (network namespaces) train what one
trains."""

import functools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import DEVICE, LIMIT, PROGRAM, ROOT, Case, checkpoints, losses, main, sets

COMMON = sets(train__steps=8, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=4, precision__compute="fp32")
ONE_THREAD = dict(os.environ, OMP_NUM_THREADS="1", ANTIPHON=str(PROGRAM))


@functools.cache
def namespaces_can_be_made():
    if not shutil.which("ip") or os.geteuid():
        return False
    name = f"try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "delete", name]).returncode == 0


def ranks_of(run):
    """The processes that train into this folder, in the order of their ranks: children of launchers."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"train.output={run}\0" in (folder / "cmdline").read_text():
                environment = dict(word.split("=", 1) for word in (folder / "environ").read_text().split("\0") if "=" in word)
                if "RANK" in environment:
                    found[int(environment["RANK"])] = int(folder.name)
        except (OSError, UnicodeDecodeError):  # it has ended
            pass
    return [found[rank] for rank in sorted(found)]


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

    def on_two_machines(self, name, steps, *more):
        """A run on them that takes its time, once it has made three steps. -> the script's process, the run and the processes that train, in the order of ranks."""
        run = self.folder / name
        words = [*self.words(name)[2:], *sets(train__steps=steps), "--restarts", 20, *more]
        script = subprocess.Popen(list(map(str, [ROOT / "configs/clusters/two_machines.sh", *words])), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ONE_THREAD)
        self.addCleanup(lambda: (script.terminate(), script.communicate()))
        self.wait_for_step(run, 3, script)
        return script, run, ranks_of(run)

    def ended_well(self, script, name, steps):
        text = script.communicate(timeout=4 * LIMIT)[0]
        self.assertEqual(script.returncode, 0, text[-4000:])
        whole = self.folder / f"alone_{steps}"
        if not whole.exists():
            self.run_all([*self.words(whole.name), *map(str, sets(train__steps=steps))])
        self.assert_same_run(whole, self.folder / name)
        return text

    @unittest.skipUnless(namespaces_can_be_made(), "no network namespaces can be made")
    def test_a_process_of_either_machine_is_killed(self):
        """Both launchers start theirs again, and the run ends as the undisturbed one, to the bit."""
        for rank in (0, 1):
            with self.subTest(rank=rank):
                name = f"killed_{rank}"
                script, _, ranks = self.on_two_machines(name, 150)
                os.kill(ranks[rank], signal.SIGKILL)
                self.assertIn("started again", self.ended_well(script, name, 150))

    @unittest.skipUnless(namespaces_can_be_made(), "no network namespaces can be made")
    def test_the_cable_is_pulled(self):
        """For longer than either machine waits: both give up, try again and go on once it is back."""
        script, _, ranks = self.on_two_machines("cable", 150, "--stall", 2)
        inside = ["nsenter", f"--net=/proc/{ranks[1]}/ns/net", "sleep", "1000"]
        keeper = subprocess.Popen(inside)  # keeps the way into that network when the process has ended
        self.addCleanup(lambda: (keeper.kill(), keeper.wait()))
        cable = ["nsenter", f"--net=/proc/{keeper.pid}/ns/net", "ip", "link", "set", "wire1"]
        end = time.monotonic() + LIMIT
        while os.readlink(f"/proc/{keeper.pid}/ns/net") != os.readlink(f"/proc/{ranks[1]}/ns/net"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        subprocess.run([*cable, "down"], check=True)
        while any(Path(f"/proc/{pid}").exists() for pid in ranks):  # until both have given up
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        subprocess.run([*cable, "up"], check=True)
        self.assertIn("started again", self.ended_well(script, "cable", 150))

    @unittest.skipUnless(namespaces_can_be_made(), "no network namespaces can be made")
    def test_one_of_the_launchers_is_asked_to_stop(self):
        """All end after the same step with a checkpoint, and go on from it."""
        script, run, ranks = self.on_two_machines("asked", 5000)
        os.kill(int(Path(f"/proc/{ranks[1]}/stat").read_text().rsplit(")", 1)[1].split()[1]), signal.SIGTERM)
        text = script.communicate(timeout=LIMIT)[0]
        self.assertEqual(script.returncode, 75, text[-4000:])
        self.assertEqual(checkpoints(run)[0], f"step_{max(losses(run))}")
        self.assertEqual(text.count("a checkpoint is written"), 2, text[-4000:])

    @unittest.skipUnless(slurm_answers(), "no Slurm")
    def test_slurm(self):
        """Processes that srun starts, and a job of one launcher a machine."""
        self.run_all(["srun", "--ntasks", 2, *self.words("srun")])
        self.compare("srun")
        output = self.folder / "slurm.out"
        self.run_all(["sbatch", "--wait", "--output", output, ROOT / "configs/clusters/slurm.sh", *self.words("sbatch")[2:]])
        self.assertIn("2 processes share the 2 batches of a step", output.read_text())
        self.compare("sbatch")

    def test_meshes_of_the_clusters(self):
        """Each file is a composition, and its mesh has as many processes as its comment starts."""
        files = sorted((ROOT / "configs/clusters").glob("*.toml"))
        self.assertGreater(len(files), 1)
        for file in files:
            with self.subTest(file.name):
                self.call("validate", file, cwd=ROOT)
                [line] = [line for line in file.read_text().splitlines() if "antiphon launch" in line]
                words = line.split()
                count = lambda flag: int(words[words.index(flag) + 1]) if flag in words else 1
                mesh = tomllib.loads(file.read_text())["parallel"]
                self.assertEqual(math.prod(value for key, value in mesh.items() if key != "interface"), count("--procs") * count("--nodes"))

    def test_scripts(self):
        for script in sorted((ROOT / "configs/clusters").glob("*.sh")):
            with self.subTest(script.name):
                self.assertTrue(os.access(script, os.X_OK))
                subprocess.run(["bash", "-n", script], check=True)


if __name__ == "__main__":
    main()
