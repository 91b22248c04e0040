"""Processes on a GPU train what one process trains there: those that share it through the host's memory, and those that
NCCL takes for processes of different machines (NCCL_HOSTID) by NCCL."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, Together, experts
from harness import losses, main, sets

SHARED = "processes share a GPU"


class OnGpu(Together):
    OF_DEVICE = "cuda"
    NCCL = True

    def run_with(self, name, processes, *args, config=None, code=0):
        run = self.folder / f"{self._testMethodName}_{name}"
        if processes == 1:
            args = [word for pair in zip(args[::2], args[1::2]) if not pair[1].startswith("parallel.") for word in pair]
            return run, self.call("train", config or self.config, *sets(train__output=run), *COMMON, *args)
        if not self.NCCL:
            done = self.call("launch", config or self.config, "--procs", processes, *sets(train__output=run), *COMMON, *args)
            self.assertIn(SHARED, done.stderr)
            return run, done
        hosts = [{"NCCL_HOSTID": str(rank)} for rank in range(processes)]
        codes, texts = self.by_hand(run, hosts, *COMMON, *args, config=config)
        self.assertEqual(codes, [0] * processes, "\n".join(text[-3000:] for text in texts))
        self.assertNotIn(SHARED, "".join(texts))
        return run, None

    def compare_on(self, meshes, *args, config=None, processes=2):
        one, _ = self.run_with("one", 1, *args, config=config)
        for name, mesh in meshes.items():
            with self.subTest(name):
                many, _ = self.run_with(name.replace(" ", "_"), processes, *args, *mesh, config=config)
                self.assert_same_training(one, many)


class ByNccl(OnGpu):
    def test_copies_and_cut_up(self):
        self.compare_on({"copies": [], "fsdp": sets(parallel__fsdp=2), "between": sets(parallel__fsdp=2, parallel__reshard="false")}, *ALL)

    def test_recomputed(self):
        self.compare_on({"fsdp": sets(parallel__fsdp=2), "tensor": sets(parallel__tensor=2)}, *ALL, *sets(train__recompute='"full"'))

    def test_adapters(self):
        frozen = sets(parallel__fsdp=2, parallel__shard_frozen="true")
        self.compare_on({"copies": [], "frozen": frozen, "tensor": sets(parallel__tensor=2), "context": sets(parallel__context=2), "pipeline": sets(parallel__pipeline=2)})

    def test_within_layers(self):
        self.compare_on({"tensor": sets(parallel__tensor=2), "context": sets(parallel__context=2)}, *ALL)

    def test_pipeline(self):
        self.compare_on({schedule: sets(parallel__pipeline=2, parallel__schedule=f'"{schedule}"', **({"parallel__chunks": 2} if schedule == "interleaved" else {}))
                         for schedule in ("gpipe", "1f1b", "interleaved", "zero_bubble")}, *ALL, config=self.drawn("layers", 4))

    def test_experts(self):
        self.compare_on({"copies": [], "expert": sets(parallel__expert=2)}, config=experts(self))

    def test_four_processes(self):
        self.compare_on({"fsdp tensor": sets(parallel__fsdp=2, parallel__tensor=2), "pipeline context": sets(parallel__pipeline=2, parallel__context=2), "hybrid": sets(parallel__fsdp=2)},
                        *ALL, processes=4)

    def test_bf16_and_fp8(self):
        """Not equal to one process, since products of other numbers of rows are rounded in another way; close."""
        for precision in (sets(precision__compute="bf16"), sets(precision__compute="bf16", precision__linear="fp8")):
            with self.subTest(precision):
                name = precision[-1].rpartition("=")[2]
                one, _ = self.run_with(f"{name}_1", 1, *ALL, *precision)
                two, _ = self.run_with(f"{name}_2", 2, *ALL, *precision, *([] if name == "fp8" else sets(parallel__fsdp=2)))
                for step, loss in losses(one).items():
                    self.assertAlmostEqual(loss, losses(two)[step], delta=0.02 * loss)


class ThroughTheHost(OnGpu):
    NCCL = False

    def test_copies_and_cut_up(self):
        self.compare_on({"copies": [], "fsdp": sets(parallel__fsdp=2)}, *ALL)

    def test_within_layers(self):
        self.compare_on({"tensor": sets(parallel__tensor=2), "context": sets(parallel__context=2), "pipeline": sets(parallel__pipeline=2)})

    def test_experts(self):
        self.compare_on({"expert": sets(parallel__expert=2)}, config=experts(self))


if __name__ == "__main__":
    main()
