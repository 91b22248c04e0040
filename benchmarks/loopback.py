"""What sending and receiving over the loopback interface costs, and nothing else: two processes send each other so many MiB at once over one TCP
connection. Processor seconds of each, and the time of both: the least that an exchange of two processes by TCP takes of a step.

    python benchmarks/loopback.py --mib 513 --rounds 3"""

import argparse
import json
import os
import resource
import socket
import threading
import time

PIECE = 4 << 20


def exchange(connection, size):
    """Sends and receives so many bytes at once."""
    def receive():
        left, buffer = size, bytearray(PIECE)
        while left:
            left -= connection.recv_into(buffer, min(left, PIECE))

    other, piece, left = threading.Thread(target=receive), bytes(PIECE), size
    other.start()
    while left:
        left -= connection.send(piece[:min(left, PIECE)])
    other.join()


def spent():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(connection, size, rounds):
    for _ in range(rounds):
        exchange(connection, 1)  # both begin together
        begin, before = time.perf_counter(), spent()
        exchange(connection, size)
        yield spent() - before, time.perf_counter() - begin


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=513)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    if os.fork() == 0:
        list(measure(socket.create_connection(listener.getsockname()), a.mib << 20, a.rounds))
        os._exit(0)
    rows = list(measure(listener.accept()[0], a.mib << 20, a.rounds))
    os.wait()
    print(json.dumps({"mib": a.mib, "processor_s": [round(row[0], 3) for row in rows], "wall_s": [round(row[1], 3) for row in rows]}))
