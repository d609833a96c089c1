"""The part of systemd that keeps and passes sockets, where systemd itself does not run.

    manager.py serve FOLDER
        hears notifications at FOLDER/notify and prints each as a line; keeps the descriptors that come with FDSTORE=1
    manager.py run [--store FOLDER] [--tcp HOST:PORT] [--udp HOST:PORT] [--connected HOST:PORT] PROGRAM ARGUMENT...
        becomes PROGRAM, which is passed sockets as sd_listen_fds(3) says: new ones, and what FOLDER's store has
"""

import os
import selectors
import socket
import sys

FIRST = 3
MOST = 128


def serve(folder):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(f"{folder}/notify")
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asked.bind(f"{folder}/store")
    asked.listen()
    store = []  # (name, descriptor)
    selector = selectors.DefaultSelector()
    selector.register(notify, selectors.EVENT_READ)
    selector.register(asked, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is notify:
                hear(notify, store)
            else:
                give(asked, store)


def hear(notify, store):
    data, fds, _, _ = socket.recv_fds(notify, 4096, MOST)
    text = data.decode()
    fields = dict(line.split("=", 1) for line in text.split("\n"))
    name = fields.get("FDNAME", "stored")
    if fields.get("FDSTOREREMOVE") == "1":
        for gone in [entry for entry in store if entry[0] == name]:
            os.close(gone[1])
            store.remove(gone)
    for fd in fds:
        if fields.get("FDSTORE") == "1" and not any(os.path.sameopenfile(fd, kept) for _, kept in store):
            store.append((name, fd))
        else:
            os.close(fd)
    print(text.replace("\n", " ") + f" [{len(fds)}]" * bool(fds), flush=True)


def give(asked, store):
    client, _ = asked.accept()
    names = ":".join(name for name, _ in store)
    socket.send_fds(client, [f"{names}\n".encode()], [fd for _, fd in store])
    client.close()


def fetch(folder):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(f"{folder}/store")
    data, fds, _, _ = socket.recv_fds(client, 65536, MOST)
    return list(zip(data.decode().strip().split(":"), fds))


def make(kind, where):
    host, port = where.rsplit(":", 1)
    six = host.startswith("[")  # and four: as systemd makes it
    address = (host.strip("[]"), int(port))
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if kind == "connected":
        s.connect(address)
        return s.detach()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(address)
    if kind == "tcp":
        s.listen()
    return s.detach()


def run(arguments):
    passed = []
    while arguments[0].startswith("--"):
        kind, value, *arguments = arguments
        kind = kind.removeprefix("--")
        passed += fetch(value) if kind == "store" else [("test.socket", make(kind, value))]
    if passed:
        # First out of the way of the numbers that they are to have.
        high = [os.dup2(fd, FIRST + MOST + i) for i, (_, fd) in enumerate(passed)]
        for i, fd in enumerate(high):
            os.dup2(fd, FIRST + i, inheritable=True)
        os.closerange(FIRST + len(passed), FIRST + 2 * MOST)
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = str(len(passed))
        os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in passed)
    os.execvp(arguments[0], arguments)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    run(sys.argv[2:])
