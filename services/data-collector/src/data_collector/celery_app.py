"""The Celery application: broker, schedule and delivery guarantees.

`celery -A data_collector.celery_app worker` and `... beat` run it on a cluster; standalone
runs the same worker and beat in threads of its one process.
"""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from typing import Any

import structlog
from celery import Celery, Task, signals
from celery.beat import PersistentScheduler, ScheduleEntry, Scheduler, Service
from celery.bootsteps import CLOSE  # type: ignore[attr-defined]  # the stubs lack it
from celery.schedules import crontab
from celery.worker import WorkController, state
from kombu.exceptions import ChannelError, OperationalError
from opentelemetry import propagate

from data_collector.coordination import connect_coordination
from optiinfra.errors import BrokerUnavailableError
from optiinfra.logging import configure_logging
from optiinfra.settings import Settings, load_settings
from optiinfra.tracing import configure_tracing, incoming

log = structlog.get_logger()

QUEUE = "optiinfra"


class InContext(Task):  # type: ignore[type-arg]  # at run time it has no parameters
    """A task that goes on under the request id, and in the trace, of who sent it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.name.rpartition(".")[2]
        structlog.contextvars.bind_contextvars(task=name)
        if request_id := self.request.get("request_id"):
            structlog.contextvars.bind_contextvars(request_id=request_id)
        # Custom headers of a message become attributes of the task's request.
        carrier = {field: self.request.get(field) for field in ("traceparent", "tracestate")}
        try:
            with incoming(name, {field: value for field, value in carrier.items() if value}):
                return super().__call__(*args, **kwargs)
        finally:
            structlog.contextvars.clear_contextvars()


app: Celery[Any] = Celery("data_collector", include=["data_collector.tasks"], task_cls=InContext)


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings for ours."""
    minutes = settings.collect_interval_minutes
    every_interval = crontab(minute=f"*/{minutes}" if minutes < 60 else "0")
    interval_seconds = settings.collect_interval.total_seconds()
    broker = settings.broker.get_secret_value()
    return {
        # The in-process transport has no host, but warns without one.
        "broker_url": "memory://localhost" if broker.startswith("memory:") else broker,
        # Celery takes rediss:// without more for "encrypt, whoever answers".
        "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}
        if broker.startswith("rediss:")
        else None,
        "broker_connection_retry_on_startup": True,
        # A route must not hang on a broker that is away: it answers 503 and is asked again.
        "broker_transport_options": {
            "visibility_timeout": int(2 * interval_seconds),
            "socket_connect_timeout": 3,
            "max_retries": 1,
            "polling_interval": 0.1,
        },
        "task_publish_retry": False,
        "task_default_queue": QUEUE,
        "task_ignore_result": True,
        # At least once: a task that dies with its worker is delivered again.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "timezone": "UTC",
        "beat_scheduler": "data_collector.celery_app:SharedScheduler",
        "beat_schedule": {
            "collect-performance-15min": {
                "task": "data_collector.tasks.collect_performance_data_task",
                "schedule": every_interval,
                "options": {"expires": interval_seconds},
            },
            "collect-resources-15min": {
                "task": "data_collector.tasks.collect_resource_data_task",
                "schedule": every_interval,
                "options": {"expires": interval_seconds},
            },
            "refresh-rollups": {
                "task": "data_collector.tasks.refresh_rollups_task",
                "schedule": interval_seconds,
                "options": {"expires": interval_seconds},
            },
        },
    }


# Read when Celery first needs it and never at import.
app.add_defaults(lambda: configuration(load_settings()))


@signals.before_task_publish.connect
def _send_context(headers: dict[str, Any], **_: object) -> None:
    """What `InContext` takes up where the task runs."""
    propagate.inject(headers)
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        headers["request_id"] = request_id


@signals.setup_logging.connect
def _configure_logging(**_: object) -> None:
    """A worker and a beat of their own log as every service does."""
    configure_logging(load_settings().log_format)


@signals.worker_init.connect
def _configure_tracing(**_: object) -> None:
    configure_tracing("worker")


class SharedScheduler(PersistentScheduler):
    """A schedule that any number of beats may keep: each tick of an entry is sent once.

    Every beat comes to every tick, and the first one takes the entry's lock. The lock ends
    before the next tick, so when a beat dies another sends that one, without an election.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = load_settings()
        self._coordination = connect_coordination(settings.broker.get_secret_value())
        self._lifetime = settings.collect_interval * 0.9
        self._name = uuid.uuid4().hex
        super().__init__(*args, **kwargs)

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send the entry's task unless another beat has sent it for this tick."""
        try:
            sender = self._coordination.acquire(f"beat/{entry.name}", self._name, self._lifetime)
        except BrokerUnavailableError as error:
            # It could not take the task either; the next tick collects what this one would.
            log.error("tick_not_sent", entry=entry.name, error=str(error))
            return
        if sender == self._name:
            super().apply_entry(entry, producer)


def waiting_tasks() -> int:
    """How many tasks no worker has taken yet. Raises BrokerUnavailableError."""
    try:
        with app.connection_for_read() as connection:
            channel: Any = connection.default_channel  # kombu's base class declares no queues
            return int(channel.queue_declare(QUEUE, passive=True).message_count)
    except ChannelError:  # an empty queue need not exist
        return 0
    except OperationalError as error:
        raise BrokerUnavailableError("the broker does not answer") from error


class InProcess:
    """The worker and beat in threads of this process, for standalone."""

    def __init__(self, settings: Settings, *, concurrency: int) -> None:
        app.conf.update(configuration(settings))
        self._worker = WorkController(
            app=app,
            pool="threads",
            concurrency=concurrency,
            hostname="standalone",
            without_heartbeat=True,
            without_gossip=True,
            without_mingle=True,
        )
        # The schedule is in memory: after a restart the next tick is as good as the last.
        self._beat = Service(app, max_interval=1, scheduler_cls=Scheduler)
        self._threads = [
            threading.Thread(target=self._worker.start, name="worker", daemon=True),
            threading.Thread(target=self._beat.start, name="beat", daemon=True),
        ]

    def start(self) -> None:
        """Begin to take tasks and to tick."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Stop ticking and taking tasks; waits at most `timeout` seconds for those begun."""
        deadline = time.monotonic() + timeout
        # The loop sees this within two seconds. What signal handlers would set, it looks at in one
        # turn of two seconds and obeys after the next.
        self._worker.consumer.blueprint.state = CLOSE  # type: ignore[attr-defined]
        self._beat.stop()
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        while state.active_requests and time.monotonic() < deadline:
            time.sleep(0.02)
