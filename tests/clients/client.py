# Dials as a Python program does: WAY,HOST,PORT for each argument, and a line for each.
import socket
import sys
import urllib.request


def dial(way, host, port):
    if way == "http":
        name = f"[{host}]" if ":" in host else host
        return urllib.request.urlopen(f"http://{name}:{port}/", timeout=5).read().decode().strip()
    kind = socket.SOCK_STREAM if way == "tcp" else socket.SOCK_DGRAM
    family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=kind)[0]
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(5)
        if way == "sendto":
            client.sendto(b"q", address)
            text, peer = client.recvfrom(512)
            return f"{text.decode()} from {peer[0]} {peer[1]}"
        client.connect(address)
        if way == "udp":
            client.send(b"q")
            text, peer = client.recv(512), client.getpeername()
            return f"{text.decode()} from {peer[0]} {peer[1]}"
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile() as reply:
            return reply.read().splitlines()[-1]


for argument in sys.argv[1:]:
    try:
        print(dial(*argument.split(",")))
    except Exception as error:
        print(repr(error))
