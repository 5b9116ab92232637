"""A broker and services, running under supervision."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from monitorpi_cli.stack import broker
from monitorpi_cli.stack.listening import LOOPBACK
from monitorpi_cli.stack.plan import package_of
from monitorpi_cli.stack.state import BROKER, LOCK, SECRETS
from monitorpi_cli.stack.supervisor import Child, ChildEvent, Supervisor
from monitorpi_common.messages import Service
from monitorpi_common.plainfile import open_lock
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import ENV_PREFIX, BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from monitorpi_cli.stack.forked import Loader
    from monitorpi_cli.stack.plan import StackPlan


class Stack:
    """A broker and services, running. Use from one asyncio loop."""

    def __init__(
        self,
        plan: StackPlan,
        notify: Callable[[ChildEvent], None],
        loader: Loader | None = None,
    ) -> None:
        self.plan = plan
        self._lock = _lock(plan.state_dir)
        self.secrets = plan.state_dir / SECRETS
        try:
            self.passwords = {} if plan.other_broker else broker.ensure_passwords(self.secrets)
            children = [
                self._service(service, number)
                for service in plan.services
                for number in range(1, plan.count(service) + 1)
            ]
            if plan.other_broker is None:
                children.append(self._broker())
        except BaseException as error:
            self._lock.close()
            if isinstance(error, OSError):
                raise _unwritable(plan.state_dir, error) from None
            raise
        self.supervisor = Supervisor(children, notify, loader)

    def _broker(self) -> Child:
        plan = self.plan
        listeners = [f"{plan.port} {LOOPBACK[0]}", *plan.listeners]
        config = broker.write_files(plan.state_dir / BROKER, listeners, self.passwords, plan.centre)
        return Child(
            BROKER,
            broker.command(config),
            log=self._log(BROKER),
            rank=0,
            user=broker.user(config),
            restart_always=True,
        )

    def _log(self, name: str) -> Path | None:
        return self.plan.logs / f"{name}.log" if self.plan.logs else None

    def _service(self, service: Service, number: int) -> Child:
        """Return one of the processes of a service."""
        plan = self.plan
        name = service.value if number == 1 else f"{service.value}-{number}"
        state = plan.state_dir / service.value
        state.mkdir(exist_ok=True, mode=0o700)
        environment = _in_capitals(os.environ) | {
            f"{ENV_PREFIX}SITE": plan.site,
            f"{ENV_PREFIX}STATE_DIR": str(state),
        }
        if plan.other_broker is None:
            environment |= self._account(service)
            environment.pop(f"{ENV_PREFIX}BROKER__PASSWORD", None)  # the one in the file counts
        if number > 1 and service is Service.PROBER:  # of the others each waits for the one name
            environment[f"{ENV_PREFIX}INSTANCE"] = f"{plan.instance}-{number}"
        if plan.config is not None:
            environment[f"{ENV_PREFIX}CONFIG"] = str(plan.config)
        package = package_of(service)
        prefix = plan.prefix.get(service, ())
        return Child(
            name,
            [*prefix, sys.executable, "-P", "-m", package],
            {**environment, **plan.environment.get(service, {})},
            log=self._log(name),
            package=None if prefix else package,
        )

    def _account(self, service: Service) -> dict[str, str]:
        """Return where the own broker is and who the service is there, whatever is configured."""
        return {
            f"{ENV_PREFIX}BROKER__HOST": LOOPBACK[0],
            f"{ENV_PREFIX}BROKER__PORT": str(self.plan.port),
            f"{ENV_PREFIX}BROKER__USERNAME": service.value,
            f"{ENV_PREFIX}SECRETS_DIR": str(self.secrets / service.value),
        }

    def viewer(self) -> BrokerSettings:
        """Return how to read the bus."""
        if self.plan.other_broker is not None:
            return self.plan.other_broker
        password = SecretStr(self.passwords["viewer"])
        return BrokerSettings(port=self.plan.port, username="viewer", password=password)

    def start(self) -> None:
        """Start everything; returns at once."""
        self.supervisor.start_all()

    async def stop(self) -> None:
        """Stop everything, services before the broker, and let the state directory go."""
        await self.supervisor.stop()
        self._lock.close()


def _in_capitals(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables, ours in capitals: what is set beside them takes their place."""
    return {
        name.upper() if name.upper().startswith(ENV_PREFIX) else name: value
        for name, value in variables.items()
    }


def _lock(folder: Path) -> IO[bytes]:
    """Make the state directory, and take it for this process.

    Raises:
        ResourceError: it cannot be written, or another process has it.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / LOCK
        stream = open_lock(file)
        file.chmod(0o600)  # whoever may read it may hold it, and keep us from starting
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise ResourceError(
            f"another MonitorPi runs with the state directory {folder}: stop it, or set another "
            f"one ({ENV_PREFIX}STATE_DIR)"
        ) from None
    return stream


def _unwritable(folder: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"the state directory {folder} cannot be written ({_described(folder, error)}): run as its "
        f"owner, make room on its disk, or set another one ({ENV_PREFIX}STATE_DIR)"
    )


def _described(folder: Path, error: OSError) -> str:
    """Return what is wrong, and with which of its files."""
    name = error.filename2 or error.filename
    inside = name is not None and Path(name) != folder
    return f"{name}: {error.strerror}" if inside else f"{error.strerror}"
