"""SQLite store of requests, answers and spending; no answer is paid twice."""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from okrcell.errors import InputError, OkrcellError
from okrcell.texts.endpoint.budget import Budget, Cost, Spent

_APPLICATION = 0x6F6B726C
"""SQLite application_id, so that no other database is mistaken for a ledger."""
_LAYOUT = 1
_TABLES = """
CREATE TABLE call (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,              -- sha256 of prompt, model, parameters and evidence
    state TEXT NOT NULL,            -- open, answered, doubtful (possibly billed, no answer), free (not billed)
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,           -- version of the prompt
    server TEXT NOT NULL,
    asked TEXT NOT NULL,            -- time of the request
    worst_tokens INTEGER NOT NULL,
    worst_money REAL NOT NULL,
    ended TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    money REAL,
    request TEXT NOT NULL,          -- the messages, as JSON
    answer TEXT                     -- the response body, unchanged
);
CREATE UNIQUE INDEX one_answer ON call (key) WHERE state = 'answered';
CREATE INDEX calls_of_key ON call (key);
CREATE TABLE dialect (server TEXT, model TEXT, form TEXT NOT NULL, PRIMARY KEY (server, model));
"""


class NotBilled(Exception):  # noqa: N818 - a state of a request
    """Raised inside `Ledger.call`: the request was rejected or did not reach the provider."""


@dataclass(frozen=True)
class Asked:
    """A request: key, model, prompt version, server and messages."""

    key: str
    """sha256 of prompt, model, parameters and evidence."""
    model: str
    prompt: str
    """Version of the prompt."""
    server: str
    request: str
    """The messages, as JSON."""


@dataclass(frozen=True)
class Paid:
    """An answer with its token usage and cost."""

    answer: str
    prompt_tokens: int
    completion_tokens: int
    money: float = 0.0
    replayed: bool = False
    """Whether the provider reports a stored answer to an earlier request with this key, free of charge."""


@dataclass(frozen=True)
class Usual:
    """Average usage of the answers so far; None before the first."""

    characters_per_token: float | None
    completion_tokens: float | None


class OpenCall:
    """A pending request; its answer is on disk when `paid` returns."""

    def __init__(self, ledger: "Ledger", number: int) -> None:
        self._ledger = ledger
        self._number = number
        self.done = False

    def paid(self, paid: Paid) -> None:
        """Commit the answer to disk."""
        self._ledger._keep(self._number, paid)  # pyright: ignore[reportPrivateUsage] # OpenCall is part of Ledger
        self.done = True


class Ledger:
    """SQLite file of requests and answers, for one process at a time; thread-safe.

    A request is stored before it is sent, and its answer before it is parsed. After a kill at any moment, only pending
    requests can be repeated, and `spent` counts them as possibly billed.

    Parameters
    ----------
    path
        Path of the file; created if it does not exist.
    wait
        Seconds to wait for another run to release the file.

    Raises
    ------
    InputError
        If the file is no ledger, is damaged, is in use by another run, or cannot be written.
    """

    def __init__(self, path: str | Path, wait: float = 5.0) -> None:
        self.path = Path(path)
        if not self.path.resolve().parent.is_dir():
            raise InputError(f"Cannot write {self.path}: there is no folder {self.path.parent}. Create it first.")
        self._changed = threading.Condition()
        self._on_their_way: set[str] = set()
        self._open_cost = Cost()
        self._spent = Spent()
        try:
            self._disk = sqlite3.connect(self.path, timeout=wait, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._trouble(error) from None
        try:
            self._refuse_what_is_not_ours()
            self._take_hold()
        except sqlite3.Error as error:
            self._disk.close()
            raise self._trouble(error) from None
        except InputError:
            self._disk.close()
            raise

    def answer(self, key: str) -> str | None:
        """Return the stored answer of a request, None without one."""
        rows = self._ask("SELECT answer FROM call WHERE key = ? AND state = 'answered'", key)
        return str(rows[0][0]) if rows else None

    def in_doubt(self, key: str) -> bool:
        """Whether a request with this key was sent in any run and got no answer."""
        return bool(self._ask("SELECT 1 FROM call WHERE key = ? AND state = 'doubtful' LIMIT 1", key))

    @contextmanager
    def alone(self, key: str) -> Generator[None]:
        """Lock a key for one thread; other threads wait and then find its answer in the ledger."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._on_their_way)
            self._on_their_way.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._on_their_way.discard(key)
                self._changed.notify_all()

    @contextmanager
    def call(self, asked: Asked, worst: Cost, budget: Budget) -> Generator[OpenCall]:
        """Store a request before it is sent; the block ends after `OpenCall.paid` or by an exception.

        After `NotBilled` the request costs nothing; after any other exception it counts as ``worst``.

        Raises
        ------
        BudgetSpent
            If ``worst`` exceeds the remaining budget after all pending requests have ended.
        """
        opened = OpenCall(self, self._begin(asked, worst, budget))
        fate = "doubtful"
        try:
            yield opened
        except NotBilled:
            fate = "free"
            raise
        finally:
            self._end(opened, fate, worst)

    def spent(self) -> Spent:
        """Return the spending over all runs, without pending requests."""
        with self._changed:
            return self._spent

    def usual(self, model: str, prompt: str) -> Usual:
        """Return the average usage of a model: characters per token over all prompts, completion tokens of this one."""
        rows = self._ask(
            "SELECT sum(length(request)) * 1.0 / sum(prompt_tokens),"
            " avg(CASE WHEN prompt = ? THEN completion_tokens END)"
            " FROM call WHERE model = ? AND state = 'answered'",
            prompt,
            model,
        )
        return Usual(*rows[0])

    def dialect(self, server: str, model: str) -> str | None:
        """Return the response format that a server accepted for a model, None if unknown."""
        rows = self._ask("SELECT form FROM dialect WHERE server = ? AND model = ?", server, model)
        return str(rows[0][0]) if rows else None

    def learn_dialect(self, server: str, model: str, form: str) -> None:
        """Store the response format that a server accepts for a model."""
        self._ask("INSERT OR REPLACE INTO dialect VALUES (?, ?, ?)", server, model, form)

    def close(self) -> None:
        """Close the file."""
        with self._changed:
            self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _refuse_what_is_not_ours(self) -> None:
        """Check the file type before any pragma that writes: switching to WAL would change a foreign database."""
        try:
            with self.path.open("rb") as file:
                head = file.read(100)
        except OSError:
            return  # in memory, new, or reported by SQLite later
        if not head.startswith(b"SQLite format 3\0"):
            return
        if head[18:19] == b"\x01":  # rollback journal; also of a ledger that was killed early
            application = self._disk.execute("PRAGMA application_id").fetchone()[0]
            tables = self._disk.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        else:  # opening a WAL database creates files; the header suffices once checkpointed
            application, tables = int.from_bytes(head[68:72], "big"), 0
        if application != _APPLICATION and (application or tables):
            raise self._something_else()

    def _something_else(self) -> InputError:
        return InputError(f"{self.path} is a database of another program. Choose another file for the ledger.")

    def _take_hold(self) -> None:
        # An exclusive lock needs no shared memory, so it works on network disks, and ends with the process in any case.
        self._disk.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._disk.execute("PRAGMA journal_mode = WAL")
        self._disk.execute("PRAGMA synchronous = FULL")
        self._disk.execute("BEGIN EXCLUSIVE")
        try:
            application = self._disk.execute("PRAGMA application_id").fetchone()[0]
            tables = self._disk.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables and not application:
                for statement in _TABLES.split(";\n"):
                    self._disk.execute(statement)
                self._disk.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._disk.execute(f"PRAGMA user_version = {_LAYOUT}")
            elif application != _APPLICATION:
                raise self._something_else()
            elif (layout := self._disk.execute("PRAGMA user_version").fetchone()[0]) != _LAYOUT:
                raise InputError(
                    f"{self.path} is a ledger of layout {layout}, but this version reads layout {_LAYOUT}. Use the"
                    " version of okrcell that wrote it, or start another ledger."
                )
            # Requests that were pending when the previous process ended have no answer.
            self._disk.execute("UPDATE call SET state = 'doubtful', ended = ? WHERE state = 'open'", (_now(),))
        except BaseException:
            self._disk.execute("ROLLBACK")
            raise
        self._disk.execute("COMMIT")
        self._spent = self._sum()

    def _begin(self, asked: Asked, worst: Cost, budget: Budget) -> int:
        with self._changed:
            while not budget.allows(self._spent.most + self._open_cost, worst):
                if not self._open_cost.tokens:
                    raise budget.refusal(self._spent, worst)
                self._changed.wait()
            values = (asked.key, asked.model, asked.prompt, asked.server, asked.request, _now())
            # One statement is one transaction, committed when it returns.
            number = self._ask(
                "INSERT INTO call (key, state, model, prompt, server, request, asked, worst_tokens, worst_money)"
                " VALUES (?, 'open', ?, ?, ?, ?, ?, ?, ?) RETURNING number",
                *(*values, worst.tokens, worst.money),
            )[0][0]
            self._open_cost += worst
            return int(number)

    def _keep(self, number: int, paid: Paid) -> None:
        paid_for = Spent(1, paid.prompt_tokens, paid.completion_tokens, paid.money)
        with self._changed:
            self._ask("BEGIN IMMEDIATE")
            try:
                self._ask(
                    "UPDATE call SET state = 'answered', ended = ?, answer = ?, prompt_tokens = ?,"
                    " completion_tokens = ?, money = ? WHERE number = ?",
                    *(_now(), paid.answer, paid.prompt_tokens, paid.completion_tokens, paid.money, number),
                )
                if paid.replayed:
                    # The unconfirmed request was billed with the answer that is replayed here.
                    self._ask(
                        "UPDATE call SET state = 'free' WHERE state = 'doubtful'"
                        " AND key = (SELECT key FROM call WHERE number = ?)",
                        number,
                    )
                self._ask("COMMIT")
            except BaseException:
                self._disk.rollback()
                raise
            self._spent = self._sum() if paid.replayed else self._spent.after(paid_for)

    def _end(self, opened: OpenCall, fate: str, worst: Cost) -> None:
        with self._changed:
            try:
                if not opened.done:
                    # The row number is private to this module.
                    number = opened._number  # pyright: ignore[reportPrivateUsage]
                    self._ask("UPDATE call SET state = ?, ended = ? WHERE number = ?", fate, _now(), number)
                    if fate == "doubtful":
                        self._spent = self._spent.after(Spent(doubtful=worst))
            finally:
                left = self._open_cost + Cost(-worst.tokens, -worst.money)
                self._open_cost = left if left.tokens else Cost()  # avoids rounding residues
                self._changed.notify_all()

    def _sum(self) -> Spent:
        counted = self._ask(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
            " coalesce(sum(money), 0.0) FROM call WHERE state = 'answered'"
        )[0]
        doubtful = self._ask(
            "SELECT coalesce(sum(worst_tokens), 0), coalesce(sum(worst_money), 0.0) FROM call WHERE state = 'doubtful'"
        )[0]
        calls, prompt_tokens, completion_tokens, money = counted
        return Spent(calls, prompt_tokens, completion_tokens, money, Cost(*doubtful))

    def _ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._changed:
            try:
                return self._disk.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.Error) -> OkrcellError:
        said = str(error)
        if "locked" in said:
            return InputError(f"{self.path} is in use by another run. Wait for it to end, or choose another ledger.")
        if isinstance(error, sqlite3.OperationalError):
            return InputError(f"Cannot use the ledger {self.path}: {said}. Check the disk and your permissions.")
        return InputError(f"{self.path} is no ledger, or is damaged: {said}. Choose another file, or restore a copy.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
