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

_APPLICATION_ID = 0x6F6B726C
"""SQLite application_id, so that no other database is mistaken for a ledger."""
_SCHEMA_VERSION = 1
_CREATE_TABLES = """
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


class BudgetExceeded(OkrcellError):  # noqa: N818 - a state one stops in, not a mistake
    """The next request could exceed the budget; all answers so far are stored."""


@dataclass(frozen=True)
class RequestCost:
    """Cost in tokens and in money."""

    tokens: int = 0
    money: float = 0.0
    """In the currency of the prices."""

    def __add__(self, other: "RequestCost") -> "RequestCost":
        """Add tokens and money."""
        return RequestCost(self.tokens + other.tokens, self.money + other.money)


@dataclass(frozen=True)
class Prices:
    """Prices of a provider per million tokens, in any currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> RequestCost:
        """Return the cost of a request with its completion."""
        money = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return RequestCost(prompt_tokens + completion_tokens, money)


@dataclass(frozen=True)
class Spending:
    """Spending of a ledger over all runs."""

    calls: int = 0
    """Number of paid answers."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    unconfirmed: RequestCost = RequestCost()
    """Maximum cost of requests without an answer (connection cut, timeout, killed run); possibly not billed."""

    @property
    def max_cost(self) -> RequestCost:
        """Maximum that may have been billed."""
        return RequestCost(self.prompt_tokens + self.completion_tokens, self.money) + self.unconfirmed

    def plus(self, increment: "Spending") -> "Spending":
        """Return the sum of this and further spending."""
        return Spending(
            self.calls + increment.calls,
            self.prompt_tokens + increment.prompt_tokens,
            self.completion_tokens + increment.completion_tokens,
            self.money + increment.money,
            self.unconfirmed + increment.unconfirmed,
        )


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of writing, before the first request."""

    calls: int
    """Number of requests, if every first answer is usable."""
    cached: int
    """Number of answers that are already in the ledger."""
    prompt_tokens: int
    completion_tokens: int
    money: float
    """In the currency of the prices; 0 without prices."""

    @property
    def cost(self) -> RequestCost:
        """Total tokens and money."""
        return RequestCost(self.prompt_tokens + self.completion_tokens, self.money)


@dataclass(frozen=True)
class Budget:
    """Maximum spending over all runs of a ledger; None is no limit."""

    tokens: int | None = None
    money: float | None = None

    def allows(self, spent: RequestCost, max_cost: RequestCost) -> bool:
        """Whether a request of at most ``max_cost`` fits into the remaining budget."""
        total = spent + max_cost
        within_tokens = self.tokens is None or total.tokens <= self.tokens
        return within_tokens and (self.money is None or total.money <= self.money)

    def exceeded_error(self, spent: Spending, max_cost: RequestCost) -> BudgetExceeded:
        """Return the error for an exhausted budget: what was spent, what the next request may cost, what to do."""
        spent_cost = spent.max_cost
        if self.tokens is not None and spent_cost.tokens + max_cost.tokens > self.tokens:
            amounts = (
                f"{spent_cost.tokens:,} of {self.tokens:,} tokens are spent and the next request may take "
                f"{max_cost.tokens:,}"
            )
            setting = "budget_tokens"
        else:
            max_money = 0.0 if self.money is None else self.money
            amounts = (
                f"{spent_cost.money:.4g} of {max_money:.4g} in money is spent and the next request may cost "
                f"{max_cost.money:.2g}"
            )
            setting = "budget_money"
        unconfirmed_tokens = spent.unconfirmed.tokens
        note = (
            f", counting {unconfirmed_tokens:,} tokens of requests whose answer never came"
            if unconfirmed_tokens
            else ""
        )
        return BudgetExceeded(
            f"The budget is exhausted: {amounts}{note}. All answers so far are stored; raise {setting} and run again to "
            "continue."
        )


class NotBilled(Exception):  # noqa: N818 - a state of a request
    """Raised inside `RequestCache.call`: the request was rejected or did not reach the provider."""


@dataclass(frozen=True)
class LLMRequest:
    """A request: key, model, prompt version, server and messages."""

    key: str
    """sha256 of prompt, model, parameters and evidence."""
    model: str
    prompt: str
    """Version of the prompt."""
    server: str
    messages_json: str
    """The messages, as JSON."""


@dataclass(frozen=True)
class CachedResponse:
    """An answer with its token usage and cost."""

    body: str
    prompt_tokens: int
    completion_tokens: int
    money: float = 0.0
    replayed: bool = False
    """Whether the provider reports a stored answer to an earlier request with this key, free of charge."""


@dataclass(frozen=True)
class AverageUsage:
    """Average usage of the answers so far; None before the first."""

    characters_per_token: float | None
    completion_tokens: float | None


class PendingRequest:
    """A pending request; its answer is on disk when `commit` returns."""

    def __init__(self, cache: "RequestCache", row_id: int) -> None:
        self._cache = cache
        self._row_id = row_id
        self.committed = False

    def commit(self, response: CachedResponse) -> None:
        """Commit the answer to disk."""
        # A pending request is part of its cache.
        self._cache._commit_response(self._row_id, response)  # pyright: ignore[reportPrivateUsage]
        self.committed = True


class RequestCache:
    """SQLite file of requests and answers, for one process at a time; thread-safe.

    A request is stored before it is sent, and its answer before it is parsed. After a kill at any moment, only pending
    requests can be repeated, and `spending` counts them as possibly billed.

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
        self._condition = threading.Condition()
        self._pending_keys: set[str] = set()
        self._pending_cost = RequestCost()
        self._spending = Spending()
        try:
            self._connection = sqlite3.connect(self.path, timeout=wait, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._to_input_error(error) from None
        try:
            self._check_application()
            self._acquire()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._to_input_error(error) from None
        except InputError:
            self._connection.close()
            raise

    def get(self, key: str) -> str | None:
        """Return the stored answer of a request, None without one."""
        rows = self._execute("SELECT answer FROM call WHERE key = ? AND state = 'answered'", key)
        return str(rows[0][0]) if rows else None

    def is_unconfirmed(self, key: str) -> bool:
        """Whether a request with this key was sent in any run and got no answer."""
        return bool(self._execute("SELECT 1 FROM call WHERE key = ? AND state = 'doubtful' LIMIT 1", key))

    @contextmanager
    def lock_key(self, key: str) -> Generator[None]:
        """Lock a key for one thread; other threads wait and then find its answer in the ledger."""
        with self._condition:
            self._condition.wait_for(lambda: key not in self._pending_keys)
            self._pending_keys.add(key)
        try:
            yield
        finally:
            with self._condition:
                self._pending_keys.discard(key)
                self._condition.notify_all()

    @contextmanager
    def open_request(self, request: LLMRequest, max_cost: RequestCost, budget: Budget) -> Generator[PendingRequest]:
        """Store a request before it is sent; the block ends after `PendingRequest.commit` or by an exception.

        After `NotBilled` the request costs nothing; after any other exception it counts as ``max_cost``.

        Raises
        ------
        BudgetExceeded
            If ``max_cost`` exceeds the remaining budget after all pending requests have ended.
        """
        pending = PendingRequest(self, self._begin_request(request, max_cost, budget))
        state = "doubtful"
        try:
            yield pending
        except NotBilled:
            state = "free"
            raise
        finally:
            self._end_request(pending, state, max_cost)

    def spending(self) -> Spending:
        """Return the spending over all runs, without pending requests."""
        with self._condition:
            return self._spending

    def average_usage(self, model: str, prompt: str) -> AverageUsage:
        """Return the average usage of a model: characters per token over all prompts, completion tokens of this one."""
        rows = self._execute(
            "SELECT sum(length(request)) * 1.0 / sum(prompt_tokens),"
            " avg(CASE WHEN prompt = ? THEN completion_tokens END)"
            " FROM call WHERE model = ? AND state = 'answered'",
            prompt,
            model,
        )
        return AverageUsage(*rows[0])

    def response_format(self, server: str, model: str) -> str | None:
        """Return the response format that a server accepted for a model, None if unknown."""
        rows = self._execute("SELECT form FROM dialect WHERE server = ? AND model = ?", server, model)
        return str(rows[0][0]) if rows else None

    def save_response_format(self, server: str, model: str, response_format: str) -> None:
        """Store the response format that a server accepts for a model."""
        self._execute("INSERT OR REPLACE INTO dialect VALUES (?, ?, ?)", server, model, response_format)

    def close(self) -> None:
        """Close the file."""
        with self._condition:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check_application(self) -> None:
        """Check the file type before any pragma that writes: switching to WAL would change a foreign database."""
        try:
            with self.path.open("rb") as file:
                header = file.read(100)
        except OSError:
            return  # in memory, new, or reported by SQLite later
        if not header.startswith(b"SQLite format 3\0"):
            return
        if header[18:19] == b"\x01":  # rollback journal; also of a ledger that was killed early
            application_id = self._connection.execute("PRAGMA application_id").fetchone()[0]
            n_tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        else:  # opening a WAL database creates files; the header suffices once checkpointed
            application_id, n_tables = int.from_bytes(header[68:72], "big"), 0
        if application_id != _APPLICATION_ID and (application_id or n_tables):
            raise self._foreign_database_error()

    def _foreign_database_error(self) -> InputError:
        return InputError(f"{self.path} is a database of another program. Choose another file for the ledger.")

    def _acquire(self) -> None:
        # An exclusive lock needs no shared memory, so it works on network disks, and ends with the process in any case.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("BEGIN EXCLUSIVE")
        try:
            application_id = self._connection.execute("PRAGMA application_id").fetchone()[0]
            n_tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not n_tables and not application_id:
                for statement in _CREATE_TABLES.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif application_id != _APPLICATION_ID:
                raise self._foreign_database_error()
            elif (version := self._connection.execute("PRAGMA user_version").fetchone()[0]) != _SCHEMA_VERSION:
                raise InputError(
                    f"{self.path} is a ledger of layout {version}, but this version reads layout {_SCHEMA_VERSION}. Use the"
                    " version of okrcell that wrote it, or start another ledger."
                )
            # Requests that were pending when the previous process ended have no answer.
            self._connection.execute("UPDATE call SET state = 'doubtful', ended = ? WHERE state = 'open'", (_now(),))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._spending = self._total_spending()

    def _begin_request(self, request: LLMRequest, max_cost: RequestCost, budget: Budget) -> int:
        with self._condition:
            while not budget.allows(self._spending.max_cost + self._pending_cost, max_cost):
                if not self._pending_cost.tokens:
                    raise budget.exceeded_error(self._spending, max_cost)
                self._condition.wait()
            values = (request.key, request.model, request.prompt, request.server, request.messages_json, _now())
            # One statement is one transaction, committed when it returns.
            row_id = self._execute(
                "INSERT INTO call (key, state, model, prompt, server, request, asked, worst_tokens, worst_money)"
                " VALUES (?, 'open', ?, ?, ?, ?, ?, ?, ?) RETURNING number",
                *(*values, max_cost.tokens, max_cost.money),
            )[0][0]
            self._pending_cost += max_cost
            return int(row_id)

    def _commit_response(self, row_id: int, response: CachedResponse) -> None:
        response_cost = Spending(1, response.prompt_tokens, response.completion_tokens, response.money)
        with self._condition:
            self._execute("BEGIN IMMEDIATE")
            try:
                self._execute(
                    "UPDATE call SET state = 'answered', ended = ?, answer = ?, prompt_tokens = ?,"
                    " completion_tokens = ?, money = ? WHERE number = ?",
                    *(
                        _now(),
                        response.body,
                        response.prompt_tokens,
                        response.completion_tokens,
                        response.money,
                        row_id,
                    ),
                )
                if response.replayed:
                    # The unconfirmed request was billed with the answer that is replayed here.
                    self._execute(
                        "UPDATE call SET state = 'free' WHERE state = 'doubtful'"
                        " AND key = (SELECT key FROM call WHERE number = ?)",
                        row_id,
                    )
                self._execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise
            self._spending = self._total_spending() if response.replayed else self._spending.plus(response_cost)

    def _end_request(self, pending: PendingRequest, state: str, max_cost: RequestCost) -> None:
        with self._condition:
            try:
                if not pending.committed:
                    # The row number is private to this module.
                    row_id = pending._row_id  # pyright: ignore[reportPrivateUsage]
                    self._execute("UPDATE call SET state = ?, ended = ? WHERE number = ?", state, _now(), row_id)
                    if state == "doubtful":
                        self._spending = self._spending.plus(Spending(unconfirmed=max_cost))
            finally:
                remaining = self._pending_cost + RequestCost(-max_cost.tokens, -max_cost.money)
                self._pending_cost = remaining if remaining.tokens else RequestCost()  # avoids rounding residues
                self._condition.notify_all()

    def _total_spending(self) -> Spending:
        totals = self._execute(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
            " coalesce(sum(money), 0.0) FROM call WHERE state = 'answered'"
        )[0]
        unconfirmed = self._execute(
            "SELECT coalesce(sum(worst_tokens), 0), coalesce(sum(worst_money), 0.0) FROM call WHERE state = 'doubtful'"
        )[0]
        calls, prompt_tokens, completion_tokens, money = totals
        return Spending(calls, prompt_tokens, completion_tokens, money, RequestCost(*unconfirmed))

    def _execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._condition:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise self._to_input_error(error) from None

    def _to_input_error(self, error: sqlite3.Error) -> OkrcellError:
        message = str(error)
        if "locked" in message:
            return InputError(f"{self.path} is in use by another run. Wait for it to end, or choose another ledger.")
        if isinstance(error, sqlite3.OperationalError):
            return InputError(f"Cannot use the ledger {self.path}: {message}. Check the disk and your permissions.")
        return InputError(
            f"{self.path} is no ledger, or is damaged: {message}. Choose another file, or restore a copy."
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
