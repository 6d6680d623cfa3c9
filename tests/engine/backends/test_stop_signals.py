"""Proves that a stop reaches workers, that workers of a lost driver stop, and that handlers are put back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from mbo_search.engine.backends.stop_signals import (
    STOP_SIGNALS,
    SessionFile,
    SessionWatch,
    stop_on_signals,
    stop_once_polled,
    throttled,
)


def test_a_worker_sees_the_stop_of_its_session(tmp_path):
    session = SessionFile(tmp_path / "session.json")
    watch = SessionWatch(session.path, session.session, every_seconds=0.0)
    assert not watch()
    session.stop()
    assert watch()


def test_a_worker_of_an_earlier_session_stops_for_good(tmp_path):
    first = SessionFile(tmp_path / "session.json")
    watch = SessionWatch(first.path, first.session, every_seconds=0.0)
    SessionFile(tmp_path / "session.json")
    assert watch()
    first.path.unlink()
    assert watch()


def test_a_damaged_session_file_stops_nobody(tmp_path):
    session = SessionFile(tmp_path / "session.json")
    watch = SessionWatch(session.path, session.session, every_seconds=0.0)
    session.path.write_text("{", encoding="utf-8")
    assert not watch()


def test_the_file_is_read_only_now_and_then(tmp_path):
    session = SessionFile(tmp_path / "session.json")
    watch = SessionWatch(session.path, session.session, every_seconds=60.0)
    assert not watch()
    session.stop()
    assert not watch()


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_stop_signal_becomes_a_request_and_handlers_come_back(number):
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    with stop_on_signals() as request:
        assert not request.is_set()
        os.kill(os.getpid(), number)
        assert request.is_set()
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before


def test_a_second_interrupt_does_not_wait():
    with stop_on_signals() as request:
        request.set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_third_interrupt_does_not_disturb_what_tidies_up():
    with stop_on_signals() as request:
        request.set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_search_that_is_to_outlive_its_terminal_does():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_there_are_no_handlers():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with stop_on_signals() as request:
            seen.append((request.is_set(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_a_throttled_action_runs_at_once_and_then_rests():
    runs = []
    action = throttled(lambda: runs.append(1) or len(runs), 60.0)
    assert action() == 1
    assert action() is None


def test_a_signal_before_the_first_poll_interrupts_and_one_after_it_is_a_request():
    with pytest.raises(KeyboardInterrupt), stop_once_polled():
        signal.raise_signal(signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    with stop_once_polled() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
    assert signal.getsignal(signal.SIGINT) is before
