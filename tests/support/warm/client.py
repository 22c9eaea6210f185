"""The program `gotowce` or `dvc`: passes arguments and files to the server beside it, and ends like it."""

import json
import os
import socket
import sys
from pathlib import Path

program = Path(sys.argv[0])
environ = dict(os.environ)
if environ.get("PYTHONPATH", "") != (program.parent / "pythonpath").read_text():
    # The caller brings modules of its own: the server has not looked for them there.
    os.execv(Path(sys.executable).parent / program.name, sys.argv)
umask = os.umask(0)
content = json.dumps([program.name, sys.argv[1:], str(Path.cwd()), environ, umask]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect(str(program.parent / "socket"))
    socket.send_fds(server, [len(content).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(content)
    code = int(server.recv(16))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
