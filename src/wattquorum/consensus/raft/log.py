"""Log: a replica's entries above its snapshot, and the configuration that each of them stands under.

A configuration is effective from the moment it is appended, committed or not, and an entry that is cut off takes it
back (PROTOCOLS, I4). So the log is the one place that knows which configuration holds: the last in it, or below it
the snapshot's. Indexes start at 1; the log may begin later, after entries that a snapshot made superfluous.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.foundation.refusals import Refused


class Log:
    """Entries `first`..`last`; `term_at(first - 1)` is known as well."""

    __slots__ = ("_below", "_configurations", "_entries", "first")

    def __init__(self, index: int, term: int, configuration: Configuration) -> None:
        """An empty log after the entry at `index` of `term`, where `configuration` was effective; 0, 0: the start."""
        self.first = index + 1
        self._below = term  # the term of the entry before the first
        self._entries: list[Entry] = []
        self._configurations = [(index, configuration)]  # what became effective where, ascending

    @property
    def last(self) -> int:
        """The last index; `first - 1` of an empty log."""
        return self.first + len(self._entries) - 1

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self._entries[-1].term if self._entries else self._below

    @property
    def configuration(self) -> Configuration:
        """The effective configuration."""
        return self._configurations[-1][1]

    @property
    def configured_at(self) -> int:
        """Where the effective configuration stands."""
        return self._configurations[-1][0]

    @property
    def configurations(self) -> tuple[tuple[int, Configuration], ...]:
        """What became effective where; the first holds from the snapshot or the beginning."""
        return tuple(self._configurations)

    def configuration_at(self, index: int) -> Configuration:
        """The configuration that an entry at this index stands under, its own if it is one."""
        for at, configuration in reversed(self._configurations):
            if at <= index:
                return configuration
        return self._configurations[0][1]

    def term_at(self, index: int) -> int | None:
        """The term of the entry at an index, or None where this log has none (any more)."""
        if index == self.first - 1:
            return self._below
        if self.first <= index <= self.last:
            return self._entries[index - self.first].term
        return None

    def entry(self, index: int) -> Entry:
        """The entry at an index from `first` to `last`."""
        return self._entries[index - self.first]

    def entries(self, start: int, end: int | None = None) -> tuple[Entry, ...]:
        """The entries from `start` on, up to the one before `end` or all."""
        return tuple(self._entries[start - self.first : None if end is None else end - self.first])

    def fitting(self, start: int, bytes_max: int) -> tuple[tuple[Entry, ...], int]:
        """The entries from `start` on, as many as fit into `bytes_max` but at least one if there is any; their size."""
        begin, size, found = start - self.first, 0, self._entries
        for end in range(begin, len(found)):  # a frame costs what it holds, however much more there is to send
            more = size + len(found[end].payload)
            if more > bytes_max and end > begin:
                return tuple(found[begin:end]), size
            size = more
        return tuple(found[begin:]), size

    def is_behind(self, index: int, term: int) -> bool:
        """Whether a log that ends with this entry is at least as far as this one (the paper's 5.4.1)."""
        return (term, index) >= (self.last_term, self.last)

    def append(self, entries: Sequence[Entry]) -> None:
        """Adds entries at the end."""
        index, configuration = self.last, Kind.CONFIGURATION
        self._entries.extend(entries)
        for entry in entries:
            index += 1
            if entry.kind is configuration:
                self._configurations.append((index, configuration_of(entry)))

    def truncate(self, index: int) -> None:
        """Cuts off the entry at `index` and all above; their configurations are taken back."""
        del self._entries[index - self.first :]
        while self._configurations[-1][0] >= index:
            self._configurations.pop()

    def conflict(self, index: int, entries: Sequence[Entry]) -> int | None:
        """The first index from `index` on at which these entries differ from the log's or go beyond it, if any."""
        if index == self.last + 1:
            return index if entries else None
        for at, entry in enumerate(entries, index):
            if self.term_at(at) != entry.term:
                return at
        return None

    def hint(self, index: int, term: int) -> int:
        """The highest index up to `index` whose term is not above `term`: what lies between cannot match."""
        index = min(index, self.last)
        while index >= self.first:
            own = self.term_at(index)
            if own is not None and own <= term:
                break
            index -= 1
        return index

    def forget(self, index: int) -> None:
        """Lets go of the entries up to `index`, which a snapshot covers."""
        if not self.first <= index <= self.last:
            raise Refused("out_of_range", "index", index, f"The log has {self.first} to {self.last}.")
        self._below = self._entries[index - self.first].term
        at = self.configuration_at(index)
        del self._entries[: index - self.first + 1]
        self.first = index + 1
        kept = [(where, configuration) for where, configuration in self._configurations if where > index]
        self._configurations = [(index, at), *kept]
