"""Starts the program by a fork server: see fork_server.cpp."""

import atexit
import os
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

server = None


@cache
def forked(program):
    """A program to be called in the place of this one: the same, but for the loading of its libraries. This one if there is no such,
    a folder for temporary files cannot hold a socket, or FORKED=0 says so."""
    path = Path(program).resolve().parents[1] / "forked" / "bin" / "antiphon"
    if not path.exists() or os.environ.get("FORKED") == "0":
        return str(program)
    global server
    folder = tempfile.TemporaryDirectory(prefix="antiphon-forks-")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(f"{folder.name}/socket")
        except OSError:  # a path that is too long for a socket
            return str(program)
        listener.listen(64)
        server = subprocess.Popen([path], env={**os.environ, "FORK_SERVER_LISTENER": str(listener.fileno())}, pass_fds=[listener.fileno()])
    os.environ["FORK_SERVER"] = f"{folder.name}/socket"
    atexit.register(lambda: (server.kill(), server.wait(), folder.cleanup()))
    return str(path)


def run(program, *arguments, anew=False, **options):
    """A command to its end. `anew`: as a process that loads its libraries itself. It reads from nothing unless it is told what, since a terminal
    could not be handed over."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([program if anew else forked(program), *map(str, arguments)], capture_output=True, text=True, **options)
