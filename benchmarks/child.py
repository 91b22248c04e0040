"""Runs one measured process: its output, its own CPU time and memory, and how busy others kept the machine meanwhile."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


def busy_seconds():
    """CPU seconds that this machine has worked, or lost to its host, since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK  # without idle and iowait


def loopback_bytes():
    """That the loopback interface has carried so far."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


@dataclass
class Child:
    output: str
    wall: float
    until: float  # seconds until the first line that starts with the word waited for
    peak_rss_mib: int
    others: float  # share of the machine's cores that other processes, or other guests of its host, used

    def line(self):
        return json.loads(self.output.strip().splitlines()[-1])


def run(command, until=None):
    """stdout and stderr come together if a word is waited for, else stdout alone."""
    busy, begin, reached, text = busy_seconds(), time.perf_counter(), None, []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if until else None, text=True)
    for line in process.stdout:
        text.append(line)
        if until and reached is None and line.startswith(until):
            reached = time.perf_counter() - begin
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or (until and reached is None):
        sys.exit(f"run.py: exit code {process.returncode} of: {' '.join(map(str, command))}\n{''.join(text)}")
    own = usage.ru_utime + usage.ru_stime
    others = max(0.0, busy_seconds() - busy - own) / (wall * CORES)
    return Child("".join(text), wall, reached or wall, usage.ru_maxrss // 1024, others)
