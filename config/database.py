"""The server's connections to PostgreSQL."""

import psycopg
from psycopg.pq import TransactionStatus


class Connection(psycopg.Connection):
    """Keeps its prepared statements when a transaction is taken back in which nothing failed: a refused command.

    psycopg throws them all away at every rollback, for the sake of programs that make and drop tables in transactions.
    Here whoever is refused would cost those who come next on this connection the plans of all statements on it.
    PostgreSQL itself keeps them, whatever becomes of the transaction. Where a statement failed they still go: it may be
    one whose table was changed meanwhile.
    """

    def rollback(self) -> None:
        """Take the transaction back."""
        if self.info.transaction_status != TransactionStatus.INTRANS:
            super().rollback()
            return
        # What the rollback throws away is an empty list of them. There is no public way to say so.
        prepared, self._prepared = self._prepared, type(self._prepared)()
        try:
            super().rollback()
        finally:
            self._prepared = prepared
