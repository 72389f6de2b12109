"""Closing a store while a thread of its own still reads."""

import threading

import apsw

from triplane.store.sqlite.connection import Readers


def test_a_reader_that_is_busy_in_another_thread_does_not_hinder_closing(tmp_path):
    path = tmp_path / "data.sqlite"
    apsw.Connection(str(path)).close()
    readers, begun = Readers(path, None), threading.Event()
    outcome = []

    def read():
        connection = readers.get()
        begun.set()
        try:
            counting = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000000) select count(*) from n"
            outcome.append(connection.execute(counting).get)
        except apsw.Error as error:
            outcome.append(type(error).__name__)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait(10)
    readers.close()
    thread.join(10)
    assert not thread.is_alive() and isinstance(outcome[0], str)
