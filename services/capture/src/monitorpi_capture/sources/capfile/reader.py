"""Reads pcap and pcapng streams frame by frame, in flat memory, from files and pipes.

Theory of operation. The format shows in the first bytes, never by the name; gzip is unpacked on the
way. A header that is none is refused with :class:`CaptureFileError`. Behind it one part follows the
other: records of pcap (:mod:`.pcap`), blocks of pcapng (:mod:`.pcapng`), and, where a record should
be, the header of another file, as ``cat`` leaves it. Whatever ends the reading before the stream
ends, and every frame that does not count, is reported in :attr:`CaptureFile.failure`, with its
place; what was read over is in :attr:`CaptureFile.notes`. Every size a file claims is checked
against a limit before anything of that size is held.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from monitorpi_capture.sources.capfile import pcap, pcapng
from monitorpi_capture.sources.capfile.findings import Findings
from monitorpi_capture.sources.capfile.instream import GZIP_MAGIC, InStream, Unpacked
from monitorpi_capture.sources.capfile.magic import PCAP, PCAPNG, PCAPNG_HEADER, is_pcapng

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.frame.captured import Frame
    from monitorpi_capture.sources.capfile.instream import ByteStream

_PACKED: Final = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
}
_FOREIGN: Final = {
    b"snoo": "a snoop file",
    b"btsn": "a btsnoop file",
    b"GMBU": "a file of Microsoft's Network Monitor",
    b"TRSN": "a file of NetXRay or Sniffer",
    b"\x01\x00\x1c\x00": "an IXIA file",
}


class CaptureFileError(Exception):
    """The stream is no capture file we can read; the text is one line for people."""


class CaptureFile:
    """An iterator over the frames of one stream.

    Raises:
        CaptureFileError: from the constructor, when the stream is not a capture.

    """

    def __init__(self, stream: ByteStream, name: str) -> None:
        self._name = name
        self._stream = InStream(stream)
        if self._stream.peek(2) == GZIP_MAGIC:
            self._stream = InStream(Unpacked(self._stream))
        self._findings = Findings(name)
        self._findings.stream = self._stream
        first = self._part()
        if first is None:
            raise CaptureFileError(self._refusal())
        if self._findings.is_nothing_readable:
            raise CaptureFileError(self._findings.failure)
        self._frames = chain.from_iterable(self._parts(first))

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    @property
    def notes(self) -> list[str]:
        """What was odd and read over, one line each; complete after the last frame."""
        return self._findings.notes

    @property
    def failure(self) -> str | None:
        """Why not everything was read, in one line; complete after the last frame."""
        return self._findings.failure

    @property
    def skipped(self) -> int:
        """Frames of link types that are not understood."""
        return self._findings.skipped

    def _parts(self, first: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
        """Yield the frames of one file after the other, as long as one follows."""
        part: Iterator[Frame] | None = first
        stream, findings = self._stream, self._findings
        while part is not None:
            yield part
            if stream.failure is not None:
                findings.stop("")
            if findings.stopped:
                return
            offset = stream.offset
            zeros = stream.skip_zeros()
            if zeros:
                findings.stop(f"holds {zeros:,} bytes of zeros, as a power cut leaves,", offset)
            if not stream.peek(1):
                return
            glued = findings.placed("goes on with another capture file, read too,")
            part = self._part()
            if part is None:
                findings.stop("holds something else than frames")
            else:
                findings.note("glued", glued, placed=False)

    def _part(self) -> Iterator[Frame] | None:
        """Return the frames of the file that begins here; None: there is none."""
        stream, findings = self._stream, self._findings
        magic = stream.peek(4)
        if magic in PCAP:
            head = pcap.header(stream, findings)
            if head is None:
                return None
            return pcap.records(stream, head, findings)
        if magic == PCAPNG and is_pcapng(stream) and stream.fill(PCAPNG_HEADER):
            return pcapng.Blocks(stream, findings).frames()
        return None

    def _refusal(self) -> str:
        """Return why this is no capture file, and what to give instead."""
        magic = self._stream.peek(4)
        failure = self._stream.failure
        if failure is not None:
            return f"{self._name} cannot be read ({failure}): give a pcap or pcapng file"
        if not magic:
            return f"{self._name} is empty: give a pcap or pcapng file"
        if magic == PCAPNG and self._stream.fill(PCAPNG_HEADER):
            return f"{self._name} has a broken pcapng header: nothing to read"
        if magic in PCAP or magic == PCAPNG:
            return f"{self._name} ends within its header: nothing to read"
        for begin, method in _PACKED.items():
            if magic.startswith(begin):
                return f"{self._name} is packed with {method}: unpack it first"
        if magic in _FOREIGN:
            return f"{self._name} is {_FOREIGN[magic]}: make it pcap first (editcap -F pcap)"
        return (
            f"{self._name} is no capture file (it begins with {magic.hex()}): give a pcap or pcapng"
            " file"
        )
