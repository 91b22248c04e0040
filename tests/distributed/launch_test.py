"""Processes that are lost, stopped or stuck: the run ends with a reason, or goes on from its newest checkpoint and ends as
if nothing had been."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import children
from harness import DEVICE, LIMIT, Case, checkpoint_state, checkpoints, losses, main, records, sets

STEPS = 60
COMMON = sets(train__steps=STEPS, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=4, precision__compute="fp32")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@unittest.skipIf(DEVICE, "processes exchange tensors of the CPU")
class Launch(Case):
    def launch(self, run, *args, processes=2, **options):
        return self.start("launch", self.config, "--procs", processes, *sets(train__output=run), *COMMON, *args, **options)

    def ended(self, process, code, seconds=LIMIT):
        out, err = process.communicate(timeout=seconds)
        self.assertEqual(process.returncode, code, err[-4000:])
        return err

    def wait_for_children(self, process, count=2):
        end = time.monotonic() + LIMIT
        while len(children(process)) < count:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        return children(process)

    def undisturbed(self):
        run = self.folder / "undisturbed"
        if not run.exists():
            self.ended(self.launch(run), 0)
        return run

    def test_any_process_killed_at_any_time(self):
        rounds = 100 if os.environ.get("ANTIPHON_LONG") else 4
        chance = random.Random(7)
        for i in range(rounds):
            run = self.folder / f"killed_{i}"
            process = self.launch(run)
            pids = self.wait_for_children(process)
            if chance.random() < 0.3:
                time.sleep(chance.random())
            else:
                self.wait_for_step(run, chance.randrange(1, STEPS - 5), process)
            os.kill(chance.choice(pids), signal.SIGKILL)
            err = self.ended(process, 0)
            self.assertIn("was ended by signal 9", err)
            self.assertIn("started again", err)
            self.assertEqual(list(losses(run)), list(range(1, STEPS + 1)))
            self.assert_same_run(self.undisturbed(), run)

    def test_killed_while_samples_are_held(self):
        """Each process holds samples of its row that wait for a batch; the draws are those of one process."""
        args = sets(data__packing__method="best_fit", data__packing__look_ahead=9, data__augment__image__flip=0.5, data__filter__max_tokens=60)
        whole, killed, alone = (self.folder / f"held_{name}" for name in ("whole", "killed", "alone"))
        self.ended(self.launch(whole, *args), 0)
        for step in (5, 23):
            process = self.launch(killed, *args, "--resume", "--restarts", "0")
            pids = self.wait_for_children(process)
            self.wait_for_step(killed, step, process)
            os.kill(pids[step % 2], signal.SIGKILL)
            process.communicate(timeout=LIMIT)
        self.ended(self.launch(killed, *args, "--resume"), 0)
        self.assert_same_run(whole, killed)
        self.train(alone, *COMMON, *args)
        loaders = [checkpoint_state(run)["progress"]["loader"] for run in (whole, alone)]
        self.assertEqual(loaders[0], loaders[1])
        self.assertGreater(min(len(row["held"]) for row in loaders[0]["rows"]), 2)

    def test_what_only_watches_is_small(self):
        """It has no LibTorch, and no 200 MB beside each machine's processes."""
        process = self.launch(self.folder / "watched", *sets(train__steps=2000))
        self.wait_for_children(process)
        self.assertNotIn("libtorch", Path(f"/proc/{process.pid}/maps").read_text())
        most = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
        self.assertLess(int(most.split()[1]), 20 * 1024, most)
        process.terminate()
        self.ended(process, 75)

    def test_no_process_outlives_the_launcher(self):
        run = self.folder / "orphans"
        process = self.launch(run)
        pids = self.wait_for_children(process)
        self.wait_for_step(run, 3, process)
        process.kill()
        process.communicate()
        end = time.monotonic() + 5
        while any(map(alive, pids)):
            self.assertLess(time.monotonic(), end, "a process is still there")
            time.sleep(0.01)
        self.ended(self.launch(run, "--resume"), 0)
        self.assert_same_run(self.undisturbed(), run)

    def test_stopped_by_a_signal(self):
        run = self.folder / "stopped"
        process = self.launch(run)
        self.wait_for_step(run, 6, process)
        process.send_signal(signal.SIGTERM)
        err = self.ended(process, 75)
        self.assertIn("a checkpoint is written", err)
        self.assertLess(max(losses(run)), STEPS)
        self.assertEqual(checkpoints(run)[0], f"step_{max(losses(run))}")
        self.ended(self.launch(run, "--resume"), 0)
        self.assert_same_run(self.undisturbed(), run)

    def test_a_signal_to_one_process_stops_all(self):
        run = self.folder / "one_stopped"
        process = self.launch(run, *sets(train__steps=100000))
        pids = self.wait_for_children(process)
        self.wait_for_step(run, 6, process)
        os.kill(pids[1], signal.SIGUSR1)
        self.ended(process, 75)
        self.assertEqual(checkpoints(run)[0], f"step_{max(losses(run))}")

    def test_a_process_that_hangs_is_named(self):
        run = self.folder / "hangs"
        process = self.launch(run, "--stall", 3, "--restarts", 0, *sets(train__steps=100000, train__checkpoint_every=100000))  # it has ten times as long while one is written
        pids = self.wait_for_children(process)
        self.wait_for_step(run, 200, process)  # the launcher has seen it get on: it gives ten times as long to the first step that it sees
        os.kill(pids[1], signal.SIGSTOP)
        begin = time.monotonic()
        err = self.ended(process, 6, 30)
        slowest = max(record["train/step_seconds"] for record in records(run / "metrics.jsonl"))
        self.assertLess(time.monotonic() - begin, max(3, 10 * slowest) + 12)
        self.assertRegex(err, r"nothing has happened for \d+ s")
        lines = [line for line in err.splitlines() if "process 1, step" in line]
        self.assertIn("(stopped by a signal)", lines[0])
        self.assertIn('process 0, step', err)
        self.assertIn("waits for the others in", err)
        self.assertFalse(any(map(alive, pids)))

    def test_a_hang_is_mended_by_starting_again(self):
        run = self.folder / "hung"
        process = self.launch(run, "--stall", 2)
        pids = self.wait_for_children(process)
        self.wait_for_step(run, 5, process)
        os.kill(pids[0], signal.SIGSTOP)
        self.ended(process, 0)
        self.assert_same_run(self.undisturbed(), run)

    def test_what_would_fail_again_is_not_tried_again(self):
        done = self.call("launch", self.config, "--procs", 2, *sets(train__output=self.folder / "wrong", train__stepz=3), code=2)
        self.assertIn("train.stepz", done.stderr)
        self.assertNotIn("started again", done.stderr)
        run = self.folder / "lost"
        process = self.launch(run, "--restarts", 1)
        os.kill(self.wait_for_children(process)[1], signal.SIGKILL)
        err = self.ended(process, 6)
        self.assertIn("the run was lost too often", err)

    def test_a_signal_before_the_first_step(self):
        """To one process while it loads: it has nothing to write, and the others do not wait for it."""
        process = self.launch(self.folder / "early")
        pids = self.wait_for_children(process)
        os.kill(pids[1], signal.SIGUSR1)
        self.ended(process, 75, 30)

    def by_hand(self, run, rank, port, *args, **variables):
        environment = dict(os.environ, RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), OMP_NUM_THREADS="1", **variables)
        return self.start("train", self.config, *sets(train__output=run), *COMMON, *args, env=environment)

    def free_port(self):
        """Below those that Linux gives to whoever asks for any, so that nobody gets it before the first process."""
        for i in range(10000):
            with socket.socket() as s:
                try:
                    s.bind(("127.0.0.1", port := 20000 + (os.getpid() + i) % 10000))
                    return port
                except OSError:
                    pass
        self.fail("no port is free")

    def test_started_by_hand(self):
        """By the variables of torchrun; they listen on the chosen interface only."""
        run, port = self.folder / "by_hand", self.free_port()
        both = [self.by_hand(run, rank, port) for rank in (0, 1)]
        self.wait_for_step(run, 3, both[0])
        listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True)
        if listening.returncode == 0:
            own = [line.split()[3] for line in listening.stdout.splitlines() if any(f"pid={p.pid}," in line for p in both)]
            self.assertTrue(own)
            self.assertTrue(all(address.startswith("127.0.0.1:") for address in own), own)
        for process in both:
            self.ended(process, 0)
        self.assert_same_run(self.undisturbed(), run)

    def test_processes_that_differ_are_told(self):
        run, port = self.folder / "differ", self.free_port()
        both = [self.by_hand(run, rank, port, *sets(train__optimizer__lr=0.001 * (1 + rank))) for rank in (0, 1)]
        for process in both:
            err = self.ended(process, 2)
            self.assertIn("process 1 has another configuration", err)
            self.assertNotIn("process 1 has another value", err)

    def test_garbage_at_the_ports(self):
        """While they meet and while they train, others connect and send what they like."""
        run, port = self.folder / "garbage", self.free_port()
        both = [self.by_hand(run, 0, port)]
        chance, opened, end = random.Random(1), [], time.monotonic() + 20
        while not any(f":{port:04X}" in line for line in Path("/proc/net/tcp").read_text().splitlines()):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

        def connect(count):
            for _ in range(count):
                s = socket.socket()
                s.settimeout(1)
                opened.append(s)
                try:
                    s.connect(("127.0.0.1", port))
                    s.sendall(chance.randbytes(chance.randrange(1, 4096)))
                except OSError:
                    pass
        connect(20)
        both.append(self.by_hand(run, 1, port))
        self.wait_for_step(run, 3, both[0])
        connect(50)
        for s in opened:
            s.close()
        for process in both:
            self.ended(process, 0)
        self.assert_same_run(self.undisturbed(), run)


if __name__ == "__main__":
    main()
