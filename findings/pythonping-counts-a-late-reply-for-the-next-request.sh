#!/bin/sh
# pythonping 1.1.4
#
# Expected: `timeout` is the "time in seconds before considering each non-arrived reply permanently
#   lost" (documentation of ping()). Requests carry a sequence number, which their replies repeat
#   (RFC 792, Echo: to aid in matching echos and replies).
# Seen: a reply is matched by its identifier alone, which all requests of a call share. The reply
#   to request 1 that comes after its timeout is the answer to request 2, timed from the sending of
#   2. With round trips of 1.5 s and a timeout of 1 s request 2 is a success after 0.5 s, which
#   nothing on the line took. The sequence numbers of request and reply differ.
# For a monitor: a line that turns slow looks fast. Compare the sequence numbers oneself.
#
# Time passes in a stand-in for the socket, so that no privilege and no network is needed; a raw
# socket and a host that took 1.5 s for each answer gave the same.
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pythonping==1.1.4
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys

import pythonping
from pythonping import icmp, network

ROUND_TRIP, TIMEOUT = 1.5, 1.0
IPV4_HEADER = bytes.fromhex("45000024000040004001") + bytes(2) + bytes([192, 0, 2, 9, 192, 0, 2, 2])


class SlowLine:
    """A socket to a host that answers everything, each time after ROUND_TRIP seconds."""

    def __init__(self, destination, *_, **__):
        self.peer, self.now, self.coming = (destination, 0), 0.0, []

    def send(self, request):
        read = icmp.ICMP.generate_from_raw(IPV4_HEADER + request)
        reply = icmp.ICMP(icmp.Types.EchoReply, read.payload, read.id, read.sequence_number)
        self.coming.append((self.now + ROUND_TRIP, IPV4_HEADER + reply.packet))

    def receive(self, timeout):
        if not self.coming or self.coming[0][0] > self.now + timeout:
            self.now += timeout
            return b"", "", 0
        arrival, packet = self.coming.pop(0)
        left, self.now = self.now + timeout - arrival, arrival
        return packet, self.peer, left


network.Socket = SlowLine
print("pythonping", importlib.metadata.version("pythonping"))
print(f"round trips of {ROUND_TRIP} s, timeout {TIMEOUT} s: expected no reply in time - seen")
seen = []
for response in pythonping.ping("192.0.2.9", timeout=TIMEOUT, count=2):
    sent = response.source_request.sequence_number
    answered = response.message.packet.sequence_number if response.message else None
    seen.append((sent, response.success, response.time_elapsed, answered))
    print(f"  request {sent}: success {response.success}, {response.time_elapsed} s,"
          f" by the reply to request {answered}")
sys.exit(0 if seen == [(1, False, 1.0, None), (2, True, 0.5, 1)] else 1)
PYTHON
