"""OptiInfra's tables, migrations and ClickHouse client."""

from optiinfra_database.client import Store, connect
from optiinfra_database.migrate import migrate

__all__ = ["Store", "connect", "migrate"]
