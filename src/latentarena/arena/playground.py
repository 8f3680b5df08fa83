"""Drawing with entries for visitors of a site: a bounded queue in which they take turns, and what was drawn before.

Nobody who asks is kept waiting: a question gets a ticket at once, and its place in the queue. One thread of the
playground's own has the tickets drawn, so that drawing never takes a thread from those who want pages.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from latentarena.arena.drawing import PROGRAM, SECONDS, Drawing, DrawingProcess
from latentarena.arena.objects import Objects
from latentarena.errors import ArenaError, StoreBusy, StoreError

OF_ONE = 32  # drawings of one visitor that may wait
OF_ALL = 256  # drawings that may wait
INTEREST = 20.0  # seconds after which a drawing that nobody has asked for again is not made
FAILURE = 30.0  # seconds for which it is remembered that something could not be drawn
CACHE = 64 << 20  # bytes of drawings that are kept
EACH = 1 << 10  # bytes that a drawing takes beside its picture
LOGGER = logging.getLogger(__name__)


class VisitorBusy(StoreBusy):
    """A visitor for whom as many drawings wait as may."""


@dataclass(eq=False)
class Ticket:
    """A drawing that was asked for.

    Attributes:
        digest: of the entry's bundle; question: what is asked of it, as JSON.
        visitor: who asked first.
        asked: when somebody last asked, on the playground's clock.
        made: the drawing, or why there is none.
    """

    digest: str
    question: str
    visitor: str
    asked: float = 0.0
    made: Future[Drawing | ArenaError] = field(default_factory=Future)

    @property
    def key(self) -> tuple[str, str]:
        """What tells drawings apart."""
        return self.digest, self.question


class Playground:
    """Draws for visitors in turn. Every method returns at once and may be called by any thread."""

    def __init__(
        self,
        objects: Objects,
        program: tuple[str, ...] = PROGRAM,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start nothing yet.

        Args:
            program, seconds: see `DrawingProcess`.
        """
        self._process, self._clock = DrawingProcess(objects, program, seconds), clock
        self._line, self._drawn = _Line(), _Drawn(clock)
        self._open: dict[tuple[str, str], Ticket] = {}  # in the line, or being drawn
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def ask(self, visitor: str, digest: str, asked: Mapping[str, Any]) -> Ticket:
        """The drawing, if it was made before, or a ticket for it.

        Args:
            visitor: whose turn it takes.
            digest: of the bundle's zip.
            asked: `verb` and its arguments, see `study.playground`.

        Where all together have as many waiting as may, the visitor with the most gives up its last one for one who has
        fewer.

        Raises:
            VisitorBusy: the visitor has as many waiting as one may; StoreBusy: so have all together.
        """
        ticket = Ticket(digest, json.dumps(asked, sort_keys=True), visitor)
        with self._changed:
            known = self._drawn.get(ticket.key)
            if known is not None:
                ticket.made.set_result(known)
                return ticket
            if ticket.key not in self._open:
                self._refuse_more(visitor)
                self._open[ticket.key] = ticket
                self._line.add(ticket)
                self._changed.notify()
            ticket = self._open[ticket.key]
            ticket.asked = self._clock()
            if self._thread is None:
                self._thread = threading.Thread(target=self._draw_all, name="playground", daemon=True)
                self._thread.start()
        return ticket

    def place(self, ticket: Ticket) -> int:
        """Where a ticket stands: 1 is being drawn, or the next if nothing is."""
        with self._changed:
            waiting = list(self._line)
            being_drawn = len(self._open) - len(waiting)
            return 1 + being_drawn + waiting.index(ticket) if ticket in waiting else 1

    def known(self, digest: str, asked: Mapping[str, Any]) -> bool:
        """Whether this was drawn before."""
        with self._changed:
            return self._drawn.get((digest, json.dumps(asked, sort_keys=True))) is not None

    def forget(self, digests: Iterable[str]) -> None:
        """Keep nothing of bundles that are no longer there."""
        with self._changed:
            for digest in digests:
                self._drawn.forget(digest)
                self._process.forget(digest)

    def close(self) -> None:
        """End the process; what waits is not drawn."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._process.interrupt()
        if self._thread is not None:
            self._thread.join()
        self._process.close()

    def _refuse_more(self, visitor: str) -> None:
        if self._line.of(visitor) >= OF_ONE:
            raise VisitorBusy(f"{OF_ONE} drawings of yours wait already; they are drawn one after the other")
        if len(self._open) >= OF_ALL:
            given_up = self._line.give_up(self._line.of(visitor) + 1)
            if given_up is None:
                raise StoreBusy(f"{OF_ALL} drawings wait already; try again soon")
            del self._open[given_up.key]
            given_up.made.set_result(StoreBusy("others have fewer drawings that wait, and came first; ask again"))

    def _draw_all(self) -> None:
        while (ticket := self._next()) is not None:
            made = self._made(ticket)
            with self._changed:
                self._drawn.keep(ticket.key, made)
                del self._open[ticket.key]
            ticket.made.set_result(made)

    def _next(self) -> Ticket | None:
        """The next ticket that somebody still wants; None at the end."""
        with self._changed:
            while not self._closing:
                ticket = self._line.take()
                if ticket is None:
                    self._changed.wait()
                elif self._clock() - ticket.asked > INTEREST:
                    del self._open[ticket.key]
                    ticket.made.set_result(StoreBusy("nobody waited for this drawing any more; ask again"))
                else:
                    return ticket
        return None

    def _made(self, ticket: Ticket) -> Drawing | ArenaError:
        try:
            return self._process.draw(ticket.digest, json.loads(ticket.question))
        except ArenaError as error:
            return error.with_traceback(None)
        except Exception:  # this thread draws for everybody: it goes on
            LOGGER.exception("a drawing failed")
            return StoreError("the drawing failed; the fault is here, not with what was asked")


class _Line:
    """Tickets in the order in which they are drawn: visitors take turns, and each one's own stay in order."""

    def __init__(self) -> None:
        self._by_visitor: OrderedDict[str, deque[Ticket]] = OrderedDict()  # by whose turn is next

    def add(self, ticket: Ticket) -> None:
        self._by_visitor.setdefault(ticket.visitor, deque()).append(ticket)

    def take(self) -> Ticket | None:
        if not self._by_visitor:
            return None
        visitor, own = self._by_visitor.popitem(last=False)
        ticket = own.popleft()
        if own:
            self._by_visitor[visitor] = own
        return ticket

    def give_up(self, more_than: int) -> Ticket | None:
        """Take out the last ticket of the visitor with the most, if that has more than so many."""
        visitor = max(self._by_visitor, key=self.of, default="")
        return self._by_visitor[visitor].pop() if self.of(visitor) > more_than else None

    def of(self, visitor: str) -> int:
        return len(self._by_visitor.get(visitor, ()))

    def __iter__(self) -> Iterator[Ticket]:
        for turn in zip_longest(*self._by_visitor.values()):
            yield from (ticket for ticket in turn if ticket is not None)


class _Drawn:
    """The drawings that were asked for last, and for a while what could not be drawn."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._size = clock, 0
        self._kept: OrderedDict[tuple[str, str], tuple[Drawing | ArenaError, float]] = OrderedDict()

    def get(self, key: tuple[str, str]) -> Drawing | ArenaError | None:
        made, since = self._kept.get(key, (None, 0.0))
        if made is None or (isinstance(made, ArenaError) and self._clock() - since > FAILURE):
            return None
        self._kept.move_to_end(key)
        return made

    def keep(self, key: tuple[str, str], made: Drawing | ArenaError) -> None:
        self._drop(key)
        self._kept[key] = made, self._clock()
        self._size += _weight(made)
        while self._size > CACHE:
            self._drop(next(iter(self._kept)))

    def forget(self, digest: str) -> None:
        for key in [key for key in self._kept if key[0] == digest]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        if key in self._kept:
            self._size -= _weight(self._kept.pop(key)[0])


def _weight(made: Drawing | ArenaError) -> int:
    return EACH + (len(made.content) if isinstance(made, Drawing) else 0)
