"""Large sets in Parquet, in tars and in packed lines: what they take of memory while a training opens them and draws from them at random does not grow
with them. Sets of 64 and 512 MiB; of 64 MiB and 4 GiB with ANTIPHON_LONG (`./dev test --long`), and of 100 GiB, most files of which are names of one
file."""
import base64
import gzip
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile
import unittest
import zlib

import numpy

from harness import DEVICE, Case, main, records, sets

SMALL, LARGE = 64, 4096 if os.environ.get("ANTIPHON_LONG") else 512  # MiB, and about as many pictures
OF_FILE, OF_GROUP = 64, 16
MOST_GROWTH = 128 << 20  # the rest of either set is 448 MiB at least; places that stay open in tables take up to 256 MiB, sooner or later
STEPS = 24


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(number):
    """A PNG file of noise, 1 MiB, unlike all others."""
    rows = numpy.random.default_rng(number).integers(0, 256, (590, 1 + 3 * 592), dtype=numpy.uint8)
    rows[:, 0] = 0  # no filter
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 592, 590, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 0)) + chunk(b"IEND", b"")


def write_tar(path, numbers):
    with tarfile.open(path, "w") as out:
        for number in numbers:
            for name, content in {f"{number:06}.png": picture(number), f"{number:06}.txt": b"red"}.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))


def write_lines(path, numbers):
    lines = [json.dumps({"image": "data:image/png;base64," + base64.b64encode(picture(number)).decode(), "caption": "red"}) for number in numbers]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 0))


def write_table(path, numbers):
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema({"image": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}), "caption": pyarrow.string()})
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as out:
        for begin in range(0, len(numbers), OF_GROUP):
            rows = [{"image": {"bytes": picture(number), "path": None}, "caption": "red"} for number in numbers[begin:begin + OF_GROUP]]
            out.write_table(pyarrow.Table.from_pylist(rows, schema))


@unittest.skipIf(DEVICE, "resident memory is the host's")
class LargeData(Case):
    FORKED = False
    def measured(self, suffix, write, of_file, mebibytes, own=LARGE):
        """The largest resident size of a training on a set of that size, as the kernel counted it. `own`: how much of it is written; the rest are links."""
        data, run = self.folder / "large", self.folder / f"run_{suffix}_{mebibytes}"
        data.mkdir()
        for file in range(mebibytes // of_file):
            path = data / f"{file:04}.{suffix}"
            write(path, range(file * of_file, (file + 1) * of_file)) if file * of_file < own else os.link(data / f"{file * of_file % own // of_file:04}.{suffix}", path)
        command = self.command("train", self.config, *sets(train__output=run, train__steps=STEPS, train__tokens_per_batch=512, data__feature_cache='""'), "--set", f'data.train.sources=[{{path="{data}/*.{suffix}"}}]')
        with open(self.folder / "log.txt", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        shutil.rmtree(data)
        said = (self.folder / "log.txt").read_text()
        self.assertEqual(process.returncode, 0, said[-3000:])
        self.assertIn(f"{mebibytes} records", said)
        self.assertGreater(sum(step["train/samples"] for step in records(run / "metrics.jsonl")), 256)
        return usage.ru_maxrss * 1024

    def bounded(self, suffix, write, of_file=OF_FILE):
        small, large = (self.measured(suffix, write, of_file, mebibytes) for mebibytes in (SMALL, LARGE))
        print(f"{suffix}: {small / 2**20:.0f} MiB over {SMALL} MiB, {large / 2**20:.0f} MiB over {LARGE} MiB", flush=True)
        self.assertLess(large - small, MOST_GROWTH)

    @unittest.skipUnless(os.environ.get("ANTIPHON_LONG"), "opens 1,600 files of 64 MiB")
    def test_a_hundred_gibibytes(self):
        for suffix, write in (("tar", write_tar), ("parquet", write_table)):
            with self.subTest(suffix):
                small, large = self.measured(suffix, write, OF_FILE, SMALL), self.measured(suffix, write, OF_FILE, 100 << 10, own=1024)
                print(f"{suffix}: {small / 2**20:.0f} MiB over {SMALL} MiB, {large / 2**20:.0f} MiB over 100 GiB", flush=True)
                self.assertLess(large - small, MOST_GROWTH)

    def test_tars(self):
        self.bounded("tar", write_tar)

    def test_packed_lines_of_many_files(self):
        self.bounded("jsonl.gz", write_lines, 4)

    def test_tables(self):
        self.bounded("parquet", write_table)


if __name__ == "__main__":
    main()
