"""Digests by which outputs are grouped, made while the output arrives: one with looks, one with readings left out."""

import hashlib
from dataclasses import replace

from opsconsole.jobs.output import STDERR, STDOUT, BoundedOutput, Digests, digest_of
from opsconsole.jobs.similarity import NOBODY, Own, clean, cleaned, masked

# So much of each stream is read closely. What follows must be the same to the byte for two hosts to be alike.
CLOSELY_READ_BYTES = 256 * 1024


class _Stream:
    def __init__(self, own: Own) -> None:
        self._own = own
        self._rest = b""
        self._blank_lines = 0
        self._left = CLOSELY_READ_BYTES
        self.clean = hashlib.sha256()
        self.similar = hashlib.sha256()

    def add(self, data: bytes) -> None:
        near, far = data[: self._left], data[self._left :]
        self._left -= len(near)
        if near:
            whole, newline, self._rest = (self._rest + near).rpartition(b"\n")
            if newline:
                self._lines(whole)
        if far:
            self._end()
            self._plain(far)

    def _lines(self, whole: bytes) -> None:
        text = cleaned(whole.decode("utf-8", "surrogateescape"))
        said = text.rstrip("\n")
        # Blank lines count once something follows them.
        if said:
            said = "\n" * self._blank_lines + said
            self.clean.update(_bytes(said))
            self.similar.update(_bytes("\n".join([masked(line) for line in self._own.mask(said).split("\n")])))
            self._blank_lines = 0
        self._blank_lines += len(text) - len(text.rstrip("\n")) + (1 if not said else 0)

    def _end(self) -> None:
        if self._rest:
            self._lines(self._rest)
            self._rest = b""

    def _plain(self, data: bytes) -> None:
        self.clean.update(data)
        self.similar.update(data)

    def skip(self, size: int) -> None:
        self._end()
        self._plain(b"\0%d bytes are missing\0" % size)

    def close(self) -> None:
        self._end()


class ComparedOutput(BoundedOutput):
    """Bounded output that is read while it arrives for what it has in common with that of other hosts."""

    def __init__(self, head: int, tail: int, own: Own = NOBODY) -> None:
        super().__init__(head, tail)
        self._streams = {STDOUT: _Stream(own), STDERR: _Stream(own)}

    def add(self, fd: int, data: bytes, at_ms: int) -> None:
        """Takes in what arrived."""
        super().add(fd, data, at_ms)
        self._streams[fd].add(data)

    def skip(self, fd: int, size: int) -> None:
        """Takes in that ``size`` bytes are missing here."""
        super().skip(fd, size)
        self._streams[fd].skip(size)

    def digests(self, exit_text: str) -> Digests:
        """Returns the hashes of all three modes; nothing more is to arrive after that."""
        for stream in self._streams.values():
            stream.close()
        out, err = self._streams[STDOUT], self._streams[STDERR]
        return replace(
            super().digests(exit_text),
            clean=digest_of(exit_text, out.clean.digest(), err.clean.digest()),
            similar=digest_of(exit_text, out.similar.digest(), err.similar.digest()),
        )


def detail_digest(detail: str, own: Own) -> str:
    """Returns what stands for the output of a host that was never reached: why, without the host's names and times."""
    return hashlib.sha256(b"detail\0" + _bytes(masked(clean(detail), own))).hexdigest()


def _bytes(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "surrogatepass")
