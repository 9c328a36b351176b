"""The page for people says what the table says."""

from tests.permissions.page import PAGE, page
from tests.permissions.table import ROLES, SOCKET_ROLES, allowed, table


def test_the_page_is_the_table():
    assert page() == PAGE.read_text(), "docs/permissions.md is an older one: make permissions"


def test_every_cell_names_roles_that_there_are():
    cells = [*table()["http"].values(), *table()["exports"].values()]
    assert {role for text in cells for role in allowed(text)} <= set(ROLES)
    messages = [text for of in table()["sockets"].values() for text in of.values()]
    assert {role for text in messages for role in allowed(text)} <= set(SOCKET_ROLES)
