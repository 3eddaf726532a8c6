"""Spark's session, and its errors in one line."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from kg.errors import ChangeSomethingError, TryAgainError, one_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
_CONFIGURED = ("PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "PYSPARK_GATEWAY_PORT")
"""Where one of these is set, Spark is configured by somebody who knows where it is to run."""
_LOCAL = {
    "spark.master": "local[*]",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "8",
}


@contextmanager
def spark_session() -> Iterator[SparkSession]:
    """The session of this process, or one that ends with the block."""
    try:
        import sqlglot  # noqa: F401
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise ChangeSomethingError(
            f"--engine spark needs {missing}; pip install 'personarec[spark]', or leave it out"
        ) from None
    if (running := SparkSession.getActiveSession()) is not None:
        yield running
        return
    # Workers run the Python of this process.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("personarec")
    if not any(os.environ.get(name) for name in _CONFIGURED):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for name, value in _LOCAL.items():
            builder = builder.config(name, value)
    handler = signal.getsignal(signal.SIGINT)
    with _no_stack_of_a_signal():
        try:
            spark = builder.getOrCreate()
        except PySparkException as error:
            raise ChangeSomethingError(
                f"Spark did not start: {one_line(error)}; it needs Java 17 or later (JAVA_HOME)"
            ) from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)  # Spark has put one of its own there
        try:
            yield spark
        except KeyboardInterrupt:
            # Or it prints a stack for each task that is cut off.
            spark.sparkContext.setLogLevel("OFF")
            raise
        finally:
            spark.stop()


@contextmanager
def _no_stack_of_a_signal() -> Iterator[None]:
    """Where a signal meets a call, py4j raises it, and logs a stack by the root's logger too."""

    def other(record: logging.LogRecord) -> bool:
        # "KeyboardInterrupt …" of the call itself, "Exception …" of those that end with the session
        return not record.getMessage().endswith("while sending command.")

    root, own = logging.getLogger(), logging.getLogger("py4j")
    level = own.level
    root.addFilter(other)
    own.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        root.removeFilter(other)
        own.setLevel(level)


def waited_for(job: Callable[[], T]) -> T:
    """Result of a job; a signal meets this thread, not py4j, which would print where it was."""
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(job).result()
    finally:
        thread.shutdown(wait=False)  # of a job that was left it ends with the session


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what Spark raises into one line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise TryAgainError(
            f"Spark failed: {one_line(error)}; run it again, or without --engine spark"
        ) from error
