"""What goes wrong between gemlet and a database is told in one line, which holds no password."""

import subprocess
import sys

import pytest
from storing import MADE, Postgres, item, unit

from gemlet import stores
from gemlet.errors import InputError, MissingExtra, StoreError
from gemlet.stores import address_of
from gemlet.stores.pgvector import PgStore

SECRET = "s3cr3t@/pass"
ENCODED = "s3cr3t%40%2Fpass"


def told(url: str) -> str:
    """What opening says; no line of it may hold the password."""
    with pytest.raises(StoreError) as caught, stores.open(url) as store:
        store.size()
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    assert ENCODED not in text
    assert caught.value.__cause__ is None
    return text


@pytest.fixture
def locked(postgres: Postgres) -> str:
    """The URL, with {} for the password, of a user who needs one."""
    rules = postgres.folder / "pg_hba.conf"
    if "locked" not in rules.read_text():
        rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
        postgres.ask("SELECT pg_reload_conf()")
        postgres.ask(f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'")
    return postgres.url().replace("postgres@", "locked:{}@")


def test_a_wrong_password_is_told_without_it(locked: str) -> None:
    text = told(locked.format(ENCODED + "x"))
    assert "password authentication failed" in text
    assert "PGPASSWORD" in text
    assert "postgresql://locked@/postgres" in text


def test_the_right_password_opens_and_a_right_that_lacks_is_told(locked: str) -> None:
    with stores.open(locked.format(ENCODED)) as store:
        assert store.meta("dim") is None
        assert "s3cr3t" not in store.shown
        with pytest.raises(StoreError, match="does not allow this: permission denied"):
            store.prepare(MADE, "tiny")


def test_the_password_may_come_from_outside(locked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with stores.open(locked.replace(":{}", "")) as store:
        assert store.meta("dim") is None


def test_a_reader_needs_no_right_to_write(postgres: Postgres, locked: str) -> None:
    url = postgres.url()
    with stores.open(url) as store:
        store.prepare(MADE, "tiny")
        store.put([item("/d/a", "apple")])
    schema = address_of(url).name
    postgres.ask(f"GRANT USAGE ON SCHEMA {schema} TO locked")
    postgres.ask(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO locked")
    with stores.open(url.replace("postgres@", f"locked:{ENCODED}@")) as store:
        assert [row[0] for row in store.nearest(unit(1)[0], 3)] == [row[0] for row in store.keyword("apple", 3)]
        with pytest.raises(StoreError, match="does not allow this"):
            store.remove(["/d/a"])


def test_a_database_that_is_not_there(postgres: Postgres) -> None:
    text = told(postgres.base.replace("/postgres?", "/nowhere?"))
    assert 'database "nowhere" does not exist' in text
    assert "check host, port, database, user and password" in text


def test_a_host_that_does_not_answer() -> None:
    text = told(f"postgresql://ann:{ENCODED}@127.0.0.1:1/db")
    assert "Connection refused" in text
    assert "postgresql://ann@127.0.0.1:1/db" in text


def test_a_lost_connection_is_told_and_made_anew(postgres: Postgres) -> None:
    with stores.open(postgres.url()) as store:
        store.prepare(MADE, "tiny")
        store.put([item("/d/a", "apple")])
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gemlet'"
        assert postgres.ask(cut)
        with pytest.raises(StoreError, match=r"lost the connection to postgresql://.*what was complete is in it"):
            store.put([item("/d/b", "pear")])
        assert [file.path for file in store.files()] == ["/d/a"]
        store.put([item("/d/b", "pear")])
        assert store.size() == 2


def test_a_connection_that_is_lost_within_a_transaction_leaves_it_undone(postgres: Postgres) -> None:
    with stores.open(postgres.url()) as store:
        store.prepare(MADE, "tiny")
        store.put([item("/d/a", "old")])
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gemlet'"

        def items() -> object:
            yield item("/d/a", "new", *["more"] * 499)
            yield item("/d/b", *["more"] * 500)
            postgres.ask(cut)
            yield item("/d/c", *["more"] * 500)

        with pytest.raises(StoreError, match="lost the connection"):
            store.put(items())
        assert [(file.path, file.passages) for file in store.files()] == [("/d/a", 500)]


def test_a_server_without_pgvector_is_told(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if: the statement that would make the extension names one that is nowhere."""
    import psycopg

    with PgStore(address_of(postgres.url())) as store:
        error = psycopg.errors.FeatureNotSupported('extension "vector" is not available')
        assert "install the extension `vector`, 0.8 or later" in str(store._server._told(error))


@pytest.mark.parametrize("url", [f"qdrant://{ENCODED}@127.0.0.1:1/notes", "qdrant://127.0.0.1:1"])
def test_a_qdrant_server_that_does_not_answer(url: str) -> None:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed: pip install 'gemlet[qdrant]'")
    text = told(url)
    assert "cannot reach qdrant://127.0.0.1:1/" in text
    assert "is the server running" in text


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ann:{ENCODED}@host/db",
        f"postgresql://ann:{ENCODED}@host:port/db",
        f"postgresql://ann:{ENCODED}@host/db?schema=a;b",
        f"postgresql://ann:{ENCODED}@host/db?schema=pg_catalog",
        f"postgresql://ann:{ENCODED}@host/db?index=ivf",
        f"postgresql://ann:{ENCODED}@host/db?novalue",
        f"qdrant://{ENCODED}@host:70000/c",
        f"qdrant://{ENCODED}@host/a/b",
        "qdrant:///c",
        "qdrant+local:",
        "qdrant+local:folder?collection=a/b",
    ],
)
def test_a_wrong_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(InputError) as caught:
        address_of(url)
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind", "where", "shown", "name"),
    [
        ("notes.db", "sqlite", "/tmp/notes.db", "/tmp/notes.db", "gemlet"),
        ("sqlite:/a/b.db", "sqlite", "/a/b.db", "/a/b.db", "gemlet"),
        ("postgres://u:p@h:5/d?schema=s&sslmode=require", "postgresql", "postgresql://u:p@h:5/d?sslmode=require",
         "postgresql://u@h:5/d?schema=s&sslmode=require", "s"),
        ("postgresql://h/d?password=p", "postgresql", "postgresql://h/d?password=p", "postgresql://h/d", "gemlet"),
        ("qdrant://h/notes", "qdrant", "http://h:6333", "qdrant://h:6333/notes", "notes"),
        ("qdrant+https://key@h:1/", "qdrant", "https://h:1", "qdrant+https://h:1/gemlet", "gemlet"),
        ("qdrant+local:q", "qdrant+local", "/tmp/q", "qdrant+local:/tmp/q", "gemlet"),
        ("qdrant+local:///q?collection=n", "qdrant+local", "/q", "qdrant+local:/q?collection=n", "n"),
    ],
)  # fmt: skip
def test_urls(url: str, kind: str, where: str, shown: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    address = address_of(url)
    assert (address.kind, address.where, address.shown, address.name) == (kind, where, shown, name)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("postgresql://host/db", "psycopg", "pgvector"), ("qdrant://host/c", "qdrant_client", "qdrant")],
)
def test_a_missing_package_names_its_extra(url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'gemlet\[{extra}\]'"):
        stores.open(url)


def test_no_database_is_imported_until_a_url_names_it() -> None:
    code = (
        "import sys, gemlet.cli.search, gemlet.cli.index, gemlet.stores, gemlet.stores.opened, gemlet.stores.publish;"
        "print([n for n in ('psycopg', 'pgvector', 'qdrant_client', 'grpc') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
